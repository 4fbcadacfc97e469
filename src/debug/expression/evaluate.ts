/**
 * Evaluates expressions by C's rules: integer promotions, usual arithmetic conversions, arithmetic modulo the width
 * of the result, pointers scaled by what they point at.
 */
import { bareType, type CType, type Member, typeName } from "../../symbols/types";
import { calculate, compare } from "./arithmetic";
import type { BinaryOperator, Expression, IntegerConstant, TypeReference } from "./ast";
import type { Environment } from "./environment";
import { ExpressionError } from "./error";
import {
  computed,
  inMemory,
  isScalar,
  isSigned,
  type Lvalue,
  littleEndian,
  memberOf,
  numberOf,
  type Value,
} from "./value";

/** Elements of `first @ count` at most. */
const MOST_REPEATED = 1 << 20;

export class Evaluator {
  /** @param mayAssign whether assignments are carried out; conditions must change nothing */
  constructor(
    private readonly environment: Environment,
    private readonly mayAssign: boolean,
  ) {}

  /** @throws ExpressionError */
  evaluate(expression: Expression): Value {
    const { environment } = this;
    switch (expression.kind) {
      case "number":
        return computed(this.literalType(expression), expression.value);
      case "string":
        throw new ExpressionError("texts can only be compared in conditions on events");
      case "name":
        return this.named(expression.name);
      case "register": {
        const register = environment.register(expression.name);
        if (register === undefined)
          throw new ExpressionError(`there is no register $${expression.name} here`);
        return register;
      }
      case "unary":
        return this.unary(expression);
      case "binary":
        return this.binary(expression.operator, expression.left, expression.right);
      case "conditional":
        return this.truth(expression.test)
          ? this.evaluate(expression.then)
          : this.evaluate(expression.otherwise);
      case "member":
        return this.member(this.evaluate(expression.object), expression.name, expression.arrow);
      case "index":
        return this.dereference(
          this.sum(this.evaluate(expression.array), this.evaluate(expression.index), 1n),
        );
      case "cast":
        return this.cast(this.typeOf(expression.type), this.evaluate(expression.operand));
      case "sizeof-type":
        return computed(environment.types.unsignedLong, BigInt(this.typeOf(expression.type)?.size ?? 1));
      case "sizeof":
        return computed(
          environment.types.unsignedLong,
          BigInt(this.evaluate(expression.operand).type?.size ?? 1),
        );
      case "repeat":
        return this.repeat(this.evaluate(expression.first), this.evaluate(expression.count));
      case "assign":
        return this.assign(expression.operator, expression.target, expression.value);
    }
  }

  /** Whether an expression is not zero. @throws ExpressionError */
  truth(expression: Expression): boolean {
    return numberOf(this.decayed(this.evaluate(expression))) !== 0n;
  }

  /** Stores a number or a whole value into a place. @throws ExpressionError */
  store(target: Value, value: Value): void {
    const { lvalue, type } = target;
    if (lvalue === undefined) throw new ExpressionError("this value has no place where it could be changed");
    if (lvalue.kind === "register") {
      const width = BigInt(8 * (type?.size ?? 8));
      this.environment.writeRegister(
        lvalue.name,
        BigInt.asUintN(Number(width), numberOf(this.decayed(value))),
      );
      return;
    }
    if (!isScalar(type)) {
      if (value.type?.size !== type?.size)
        throw new ExpressionError("only values of one type can be assigned whole");
      this.environment.write(lvalue.address, value.bytes());
      return;
    }
    this.environment.write(lvalue.address, this.stored(target, lvalue, numberOf(this.decayed(value))));
  }

  private stored(target: Value, { bits }: Extract<Lvalue, { kind: "memory" }>, number: bigint): Uint8Array {
    if (bits === undefined) return computed(target.type!, number).bytes();
    const old = target.bytes();
    const mask = ((1n << BigInt(bits.size)) - 1n) << BigInt(bits.offset);
    const next = (littleEndian(old) & ~mask) | ((number << BigInt(bits.offset)) & mask);
    return Uint8Array.from(old, (_, i) => Number((next >> BigInt(8 * i)) & 0xffn));
  }

  /** The first type that holds the constant (C11, 6.4.4.1). */
  private literalType({ value, decimal, unsigned, longs }: IntegerConstant): CType {
    const { types } = this.environment;
    const least = longs === 2 ? 8 : longs === 1 ? types.addressSize : 4;
    const candidates = [
      { signed: types.int, unsigned: types.unsignedInt },
      { signed: types.long, unsigned: types.unsignedLong },
    ];
    for (const candidate of candidates.filter(({ signed }) => signed.size >= least)) {
      const bits = BigInt(8 * candidate.signed.size);
      if (!unsigned && value < 1n << (bits - 1n)) return candidate.signed;
      if ((unsigned || !decimal) && value < 1n << bits) return candidate.unsigned;
    }
    return types.unsignedLong;
  }

  private named(name: string): Value {
    const value = this.environment.name(name);
    if (value === undefined) throw new ExpressionError(`there is no variable or symbol "${name}" here`);
    return value;
  }

  private unary({ operator, operand }: Extract<Expression, { kind: "unary" }>): Value {
    if (operator === "&") return this.addressOf(this.evaluate(operand));
    if (operator === "*") return this.dereference(this.decayed(this.evaluate(operand)));
    if (operator === "!") return this.truthValue(!this.truth(operand));
    const value = this.promoted(this.evaluate(operand));
    const number = numberOf(value);
    return computed(value.type!, operator === "-" ? -number : operator === "~" ? ~number : number);
  }

  private addressOf({ lvalue, type }: Value): Value {
    if (lvalue?.kind !== "memory") throw new ExpressionError("only what is in memory has an address");
    if (lvalue.bits !== undefined) throw new ExpressionError("a bit-field has no address");
    return computed(this.environment.types.pointerTo(type), lvalue.address);
  }

  private dereference(value: Value): Value {
    const type = bareType(value.type);
    const { types } = this.environment;
    const number = numberOf(value);
    if (type?.kind !== "pointer") {
      // A plain number is taken for the address of a word, as a convenience.
      return this.inMemory(types.unsignedLong, BigInt.asUintN(8 * types.addressSize, number));
    }
    if (type.target === undefined)
      throw new ExpressionError("a pointer to void points at nothing that has a type");
    return this.inMemory(type.target, number);
  }

  /** An object of a type at an address. */
  inMemory(type: CType, address: bigint): Value {
    const { environment } = this;
    const place = BigInt.asUintN(8 * environment.types.addressSize, address);
    return inMemory(type, place, (at, length) => environment.read(at, length));
  }

  /** A member of a struct or union, or of what a pointer to one points at. @throws ExpressionError */
  member(object: Value, name: string, arrow: boolean): Value {
    const pointer = arrow || bareType(object.type)?.kind === "pointer";
    const whole = pointer ? this.dereference(this.decayed(object)) : object;
    const type = bareType(whole.type);
    if (type?.kind !== "struct" && type?.kind !== "union") {
      throw new ExpressionError(`${typeName(whole.type)} has no members`);
    }
    const found = findMember(type.members, name);
    if (found === undefined) throw new ExpressionError(`${typeName(type)} has no member "${name}"`);
    return memberOf(whole, found);
  }

  private cast(type: CType | undefined, value: Value): Value {
    if (type === undefined) throw new ExpressionError("nothing can be cast to void");
    if (isScalar(type)) return computed(type, numberOf(this.decayed(value)));
    const bare = bareType(type);
    if (bare?.kind === "base" && value.type?.size === type.size) return { ...value, type, lvalue: undefined };
    throw new ExpressionError(`nothing can be cast to ${typeName(type)}: cast a pointer to it`);
  }

  private repeat(first: Value, countValue: Value): Value {
    const count = Number(numberOf(countValue));
    const { lvalue, type } = first;
    if (lvalue?.kind !== "memory" || type === undefined) {
      throw new ExpressionError("@ needs something in memory on its left");
    }
    if (!(count >= 1 && count <= MOST_REPEATED)) {
      throw new ExpressionError(`@ takes 1 to ${MOST_REPEATED} elements`);
    }
    return this.inMemory({ kind: "array", element: type, count, size: count * type.size }, lvalue.address);
  }

  private assign(operator: BinaryOperator | undefined, target: Expression, value: Expression): Value {
    if (!this.mayAssign) throw new ExpressionError("nothing can be changed here: for comparing write ==");
    const place = this.evaluate(target);
    const result = operator === undefined ? this.evaluate(value) : this.binary(operator, target, value);
    this.store(place, result);
    return this.evaluate(target);
  }

  private binary(operator: BinaryOperator, leftExpression: Expression, rightExpression: Expression): Value {
    if (operator === "&&") {
      return this.truthValue(this.truth(leftExpression) && this.truth(rightExpression));
    }
    if (operator === "||") {
      return this.truthValue(this.truth(leftExpression) || this.truth(rightExpression));
    }
    const left = this.decayed(this.evaluate(leftExpression));
    const right = this.decayed(this.evaluate(rightExpression));
    const pointers = [left, right].some(({ type }) => bareType(type)?.kind === "pointer");
    if (pointers && (operator === "+" || operator === "-"))
      return this.pointerArithmetic(operator, left, right);
    if (operator === "<<" || operator === ">>") return this.shift(operator, this.promoted(left), right);
    const type = this.common(this.promoted(left), this.promoted(right));
    const width = 8 * type.size;
    const wrap = (value: Value) =>
      isSigned(type) ? BigInt.asIntN(width, numberOf(value)) : BigInt.asUintN(width, numberOf(value));
    const [a, b] = [wrap(left), wrap(right)];
    const holds = compare(operator, a, b);
    return holds === undefined ? computed(type, calculate(operator, a, b)) : this.truthValue(holds);
  }

  private pointerArithmetic(operator: "+" | "-", left: Value, right: Value): Value {
    const [leftType, rightType] = [bareType(left.type), bareType(right.type)];
    if (leftType?.kind === "pointer" && rightType?.kind === "pointer") {
      if (operator === "+") throw new ExpressionError("two pointers cannot be added");
      const size = BigInt(Math.max(1, leftType.target?.size ?? 1));
      return computed(this.environment.types.long, (numberOf(left) - numberOf(right)) / size);
    }
    if (leftType?.kind === "pointer") return this.sum(left, right, operator === "+" ? 1n : -1n);
    if (operator === "-") throw new ExpressionError("a pointer cannot be taken away from a number");
    return this.sum(right, left, 1n);
  }

  private sum(base: Value, index: Value, sign: bigint): Value {
    const [pointer, by] = [this.decayed(base), this.decayed(index)];
    const type = bareType(pointer.type);
    if (type?.kind !== "pointer") {
      if (bareType(by.type)?.kind === "pointer") return this.sum(by, pointer, sign);
      throw new ExpressionError("only arrays and pointers have elements");
    }
    const size = BigInt(Math.max(1, type.target?.size ?? 1));
    return computed(type, numberOf(pointer) + sign * numberOf(by) * size);
  }

  private shift(operator: "<<" | ">>", left: Value, right: Value): Value {
    const by = numberOf(right);
    const type = left.type!;
    if (by < 0n || by >= BigInt(8 * type.size)) {
      throw new ExpressionError(`${typeName(type)} cannot be shifted by ${by} bits`);
    }
    return computed(type, operator === "<<" ? numberOf(left) << by : numberOf(left) >> by);
  }

  /** Arrays and functions become pointers to them (C11, 6.3.2.1). */
  private decayed(value: Value): Value {
    const type = bareType(value.type);
    const { types } = this.environment;
    if (type?.kind === "array" || type?.kind === "function") {
      if (value.lvalue?.kind !== "memory") throw new ExpressionError("this array is not in memory");
      return computed(types.pointerTo(type.kind === "array" ? type.element : type), value.lvalue.address);
    }
    return value;
  }

  /** Types narrower than int become int (C11, 6.3.1.1). */
  private promoted(value: Value): Value {
    const decayed = this.decayed(value);
    const { types } = this.environment;
    if (!isScalar(decayed.type)) throw new ExpressionError(`${typeName(decayed.type)} is no number`);
    const type = bareType(decayed.type)!;
    if (type.kind === "pointer") return computed(types.unsignedLong, numberOf(decayed));
    if (type.size < types.int.size) return computed(types.int, numberOf(decayed));
    if (type.kind === "enum") {
      return computed(isSigned(type) ? types.int : types.unsignedInt, numberOf(decayed));
    }
    return computed(type, numberOf(decayed));
  }

  /** The usual arithmetic conversions (C11, 6.3.1.8). */
  private common(left: Value, right: Value): CType {
    const [a, b] = [left.type!, right.type!];
    if (a.size !== b.size) return a.size > b.size ? a : b;
    return isSigned(a) ? b : a;
  }

  private truthValue(holds: boolean): Value {
    return computed(this.environment.types.int, holds ? 1n : 0n);
  }

  private typeOf({ name, pointers }: TypeReference): CType | undefined {
    const { environment } = this;
    let type: CType | undefined;
    if (name !== "void") {
      type = environment.types.named(name) ?? environment.type(name);
      if (type === undefined) throw new ExpressionError(`there is no type "${name}"`);
    }
    for (let i = 0; i < pointers; i++) type = environment.types.pointerTo(type);
    return type;
  }
}

/** A member by name, also one of an anonymous struct or union; its offset from the outermost. */
function findMember(members: readonly Member[], name: string, depth = 0): Member | undefined {
  for (const member of members) {
    if (member.name === name) return member;
    const inner = member.name === undefined ? bareType(member.type) : undefined;
    if ((inner?.kind !== "struct" && inner?.kind !== "union") || depth > 20) continue;
    const found = findMember(inner.members, name, depth + 1);
    if (found !== undefined) return { ...found, offset: found.offset + member.offset };
  }
  return undefined;
}
