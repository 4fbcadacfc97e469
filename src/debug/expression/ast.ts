/** What an expression says, as a tree. */

/** A type as an expression names it: "struct pool", and how many pointers to it. */
export interface TypeReference {
  readonly name: string;
  readonly pointers: number;
}

export type BinaryOperator =
  | "*"
  | "/"
  | "%"
  | "+"
  | "-"
  | "<<"
  | ">>"
  | "<"
  | "<="
  | ">"
  | ">="
  | "=="
  | "!="
  | "&"
  | "^"
  | "|"
  | "&&"
  | "||";

export type UnaryOperator = "+" | "-" | "!" | "~" | "*" | "&";

/** An integer constant with what decides its type (C11, 6.4.4.1). */
export interface IntegerConstant {
  readonly kind: "number";
  readonly value: bigint;
  /** Written in decimal, which never becomes unsigned by itself. */
  readonly decimal: boolean;
  readonly unsigned: boolean;
  /** How many `l` its suffix has. */
  readonly longs: 0 | 1 | 2;
}

export type Expression =
  | IntegerConstant
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "register"; readonly name: string }
  | { readonly kind: "unary"; readonly operator: UnaryOperator; readonly operand: Expression }
  | {
      readonly kind: "binary";
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
    }
  | {
      readonly kind: "conditional";
      readonly test: Expression;
      readonly then: Expression;
      readonly otherwise: Expression;
    }
  | { readonly kind: "member"; readonly object: Expression; readonly name: string; readonly arrow: boolean }
  | { readonly kind: "index"; readonly array: Expression; readonly index: Expression }
  | { readonly kind: "cast"; readonly type: TypeReference; readonly operand: Expression }
  | { readonly kind: "sizeof-type"; readonly type: TypeReference }
  | { readonly kind: "sizeof"; readonly operand: Expression }
  /** As many elements behind one another: `*pointer @ 4`. */
  | { readonly kind: "repeat"; readonly first: Expression; readonly count: Expression }
  | {
      readonly kind: "assign";
      readonly operator: BinaryOperator | undefined;
      readonly target: Expression;
      readonly value: Expression;
    };
