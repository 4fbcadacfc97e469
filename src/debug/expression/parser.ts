/** C's expression grammar (C11, 6.5), without calls, commas and increments; `@` binds like gdb's. */
import type { BinaryOperator, Expression, TypeReference, UnaryOperator } from "./ast";
import { ExpressionError } from "./error";
import { type Token, tokensOf } from "./lexer";

/** Nesting at most. */
const DEEPEST = 200;

/** From the loosest to the tightest. */
const LEVELS: readonly (readonly (BinaryOperator | "@")[])[] = [
  ["||"],
  ["&&"],
  ["|"],
  ["^"],
  ["&"],
  ["==", "!="],
  ["<", "<=", ">", ">="],
  ["<<", ">>"],
  ["@"],
  ["+", "-"],
  ["*", "/", "%"],
];
const UNARY: ReadonlySet<string> = new Set<UnaryOperator>(["+", "-", "!", "~", "*", "&"]);
/** Operators that assignments combine with. */
const COMPOUND: readonly BinaryOperator[] = ["+", "-", "*", "/", "%", "<<", ">>", "&", "|", "^"];
const ASSIGNMENTS: ReadonlyMap<string, BinaryOperator | undefined> = new Map([
  ["=", undefined],
  ...COMPOUND.map((operator) => [`${operator}=`, operator] as const),
]);
const QUALIFIERS: ReadonlySet<string> = new Set(["const", "volatile", "restrict"]);
/** Words of which names of base types are made. */
const TYPE_WORDS: ReadonlySet<string> = new Set([
  ...QUALIFIERS,
  ...["unsigned", "signed", "char", "short", "int", "long", "float", "double", "_Bool", "void", "__int128"],
]);
const TAGS: ReadonlySet<string> = new Set(["struct", "union", "enum"]);

/** Whether a plain name in parentheses before an operand is a type: typedefs are known to the environment alone. */
export type IsType = (name: string) => boolean;

/**
 * Reads an expression; what it names is looked up when it is evaluated.
 * @throws ExpressionError with the position
 */
export function parseExpression(text: string, isType: IsType = () => false): Expression {
  return new Parser(tokensOf(text), isType).whole();
}

class Parser {
  private at = 0;
  private depth = 0;

  constructor(
    private readonly tokens: readonly Token[],
    private readonly isType: IsType,
  ) {}

  whole(): Expression {
    if (this.tokens.length === 1) throw new ExpressionError("there is no expression");
    const expression = this.assignment();
    if (this.token.kind !== "end") throw this.unexpected();
    return expression;
  }

  private get token(): Token {
    return this.tokens[this.at];
  }

  private unexpected(): ExpressionError {
    const { token } = this;
    if (token.kind === "end") return new ExpressionError("the expression ends too early");
    const text = "text" in token ? token.text : String(token.value);
    return new ExpressionError(`"${text}" at position ${token.at + 1} is not expected there`);
  }

  private is(operator: string): boolean {
    const { token } = this;
    return token.kind === "operator" && token.text === operator;
  }

  private take(operator: string): boolean {
    if (!this.is(operator)) return false;
    this.at++;
    return true;
  }

  private expect(operator: string): void {
    if (!this.take(operator)) throw this.unexpected();
  }

  private nested<T>(parse: () => T): T {
    if (++this.depth > DEEPEST) {
      throw new ExpressionError("the expression is nested too deeply");
    }
    const result = parse();
    this.depth--;
    return result;
  }

  private assignment(): Expression {
    return this.nested(() => {
      const target = this.conditional();
      const { token } = this;
      if (token.kind !== "operator" || !ASSIGNMENTS.has(token.text)) return target;
      this.at++;
      const operator = ASSIGNMENTS.get(token.text);
      return { kind: "assign", operator, target, value: this.assignment() };
    });
  }

  private conditional(): Expression {
    const test = this.binary(0);
    if (!this.take("?")) return test;
    const then = this.nested(() => this.conditional());
    this.expect(":");
    return { kind: "conditional", test, then, otherwise: this.nested(() => this.conditional()) };
  }

  private binary(level: number): Expression {
    if (level === LEVELS.length) return this.unary();
    let left = this.binary(level + 1);
    for (;;) {
      const { token } = this;
      const operator = LEVELS[level].find((each) => token.kind === "operator" && each === token.text);
      if (operator === undefined) return left;
      this.at++;
      const right = this.binary(level + 1);
      left =
        operator === "@"
          ? { kind: "repeat", first: left, count: right }
          : { kind: "binary", operator, left, right };
    }
  }

  private unary(): Expression {
    return this.nested(() => {
      const { token } = this;
      if (token.kind === "operator" && UNARY.has(token.text)) {
        this.at++;
        return {
          kind: "unary",
          operator: token.text as UnaryOperator,
          operand: this.unary(),
        };
      }
      if (token.kind === "name" && token.text === "sizeof") return this.sizeof();
      const type = this.parenthesizedType(true);
      return type === undefined ? this.postfix() : { kind: "cast", type, operand: this.unary() };
    });
  }

  private sizeof(): Expression {
    this.at++;
    const type = this.parenthesizedType(false);
    if (type !== undefined) return { kind: "sizeof-type", type };
    return { kind: "sizeof", operand: this.unary() };
  }

  private postfix(): Expression {
    let expression = this.primary();
    for (;;) {
      if (this.take("[")) {
        expression = { kind: "index", array: expression, index: this.nested(() => this.conditional()) };
        this.expect("]");
      } else if (this.is(".") || this.is("->")) {
        const arrow = this.is("->");
        this.at++;
        const { token } = this;
        if (token.kind !== "name") throw this.unexpected();
        this.at++;
        expression = { kind: "member", object: expression, name: token.text, arrow };
      } else if (this.is("(")) {
        throw new ExpressionError("functions cannot be called in expressions");
      } else return expression;
    }
  }

  private primary(): Expression {
    const { token } = this;
    switch (token.kind) {
      case "number":
      case "string":
        this.at++;
        return token;
      case "name":
      case "register":
        this.at++;
        return { kind: token.kind, name: token.text };
      default:
        this.expect("(");
    }
    const inner = this.nested(() => this.conditional());
    this.expect(")");
    return inner;
  }

  /** A type in parentheses, which a cast or sizeof has; undefined where something else comes. */
  private parenthesizedType(isCast: boolean): TypeReference | undefined {
    if (!this.is("(")) return undefined;
    const start = this.at++;
    const words = this.typeWords();
    let pointers = 0;
    while (words.length > 0 && this.take("*")) {
      pointers++;
      while (this.token.kind === "name" && QUALIFIERS.has(this.token.text)) this.at++;
    }
    const closed = words.length > 0 && this.take(")");
    // A variable may be called like a typedef: without an operand behind it the name is no cast.
    const needsOperand = isCast && words.length === 1 && !TYPE_WORDS.has(words[0]);
    if (!closed || (needsOperand && !this.startsOperand())) {
      this.at = start;
      return undefined;
    }
    return { name: words.join(" "), pointers };
  }

  /** The words of a type's name, without qualifiers. */
  private typeWords(): string[] {
    const words: string[] = [];
    for (let { token } = this; token.kind === "name"; token = this.token) {
      const isTag = words.length === 1 && TAGS.has(words[0]);
      const isTypedef = words.length === 0 && !TAGS.has(token.text) && this.isType(token.text);
      if (!TYPE_WORDS.has(token.text) && !TAGS.has(token.text) && !isTag && !isTypedef) break;
      if (!QUALIFIERS.has(token.text)) words.push(token.text);
      this.at++;
    }
    return words;
  }

  private startsOperand(): boolean {
    const { token } = this;
    if (token.kind === "operator") return token.text === "(" || UNARY.has(token.text);
    return token.kind !== "end";
  }
}
