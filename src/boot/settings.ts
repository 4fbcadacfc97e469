/** Settings of boot programs: declared as data, read from text by their declaration. */
import { UsageError } from "./errors";
import { hex, parseAddress, parseSize } from "./values";

/** A setting as declared; command line, launch configuration and documentation derive from it. */
export interface SettingDeclaration {
  name: string;
  /** How its text is read: `address` and `size` as `16M` or `0x1000000`, `switch` as `on` or `off`. */
  type: "choice" | "address" | "size" | "count" | "switch" | "text";
  /** The value unless given, as text; where there is none, the loader chooses, as the description says. */
  default?: string;
  /** What a choice may be. */
  values?: readonly string[];
  /** Bounds of a count or size, inclusive. */
  minimum?: number;
  maximum?: number;
  description: string;
}

/** Settings as given: NAME=VALUE. */
export type SettingTexts = ReadonlyMap<string, string>;

/** Settings as read. Asking for one in the wrong type is a defect of the program that declares it. */
export class Settings {
  constructor(
    private readonly values: ReadonlyMap<string, string | number | boolean>,
    private readonly given: SettingTexts,
  ) {}

  /** Whether the user gave it. */
  isGiven(name: string): boolean {
    return this.given.has(name);
  }

  /** A choice or text that has a default. */
  text(name: string): string {
    return this.values.get(name) as string;
  }

  /** An address, size or count; undefined where the loader is to choose. */
  number(name: string): number | undefined {
    return this.values.get(name) as number | undefined;
  }

  switch(name: string): boolean {
    return this.values.get(name) === true;
  }
}

/**
 * Reads what was given, and fills in what was not.
 * @param program its name, for messages
 * @throws UsageError where there is no such setting, or a value is none for it
 */
export function readSettings(
  program: string,
  declarations: readonly SettingDeclaration[],
  given: SettingTexts,
): Settings {
  for (const name of given.keys()) {
    if (declarations.some((declaration) => declaration.name === name)) continue;
    const names = declarations.map((declaration) => declaration.name).join(", ");
    throw new UsageError(`${program} has no setting "${name}"; it has ${names}`);
  }
  const values = new Map<string, string | number | boolean>();
  for (const declaration of declarations) {
    const text = given.get(declaration.name) ?? declaration.default;
    if (text !== undefined) values.set(declaration.name, readValue(declaration, text));
  }
  return new Settings(values, given);
}

function readValue(declaration: SettingDeclaration, text: string): string | number | boolean {
  const { name, type } = declaration;
  switch (type) {
    case "choice":
      return readChoice(name, declaration.values ?? [], text);
    case "switch":
      return readChoice(name, ["on", "off"], text) === "on";
    case "address":
      return parseAddress(text, name);
    case "size":
      return checkBounds(declaration, parseSize(text, name));
    case "count":
      if (!/^\d{1,15}$/.test(text)) throw new UsageError(`${name} wants a number, not "${text}"`);
      return checkBounds(declaration, Number(text));
    case "text":
      return text;
  }
}

function readChoice(name: string, values: readonly string[], text: string): string {
  if (values.includes(text)) return text;
  throw new UsageError(`${name} takes ${values.join(" or ")}, not "${text}"`);
}

function checkBounds(declaration: SettingDeclaration, value: number): number {
  const { name, type, minimum = 0, maximum = Number.MAX_SAFE_INTEGER } = declaration;
  if (value >= minimum && value <= maximum) return value;
  const show = type === "size" ? hex : String;
  throw new UsageError(`${name} takes ${show(minimum)} to ${show(maximum)}, not ${show(value)}`);
}
