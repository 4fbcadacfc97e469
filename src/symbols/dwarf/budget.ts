/** A bound on the work that one file's debugging information can cause. */
import { DwarfError, type DwarfReader } from "./reader";

/**
 * Steps that may still be taken. Lists that many units point to could otherwise make reading quadratic in the size
 * of the file.
 */
export class Budget {
  private left: number;

  /** @param steps more than any real kernel needs */
  constructor(readonly steps: number) {
    this.left = steps;
  }

  /** @throws DwarfError when the steps are used up */
  spend(reader: DwarfReader): void {
    if (this.left-- > 0) return;
    throw new DwarfError(
      reader.section.name,
      reader.position,
      `reading would take more than ${this.steps} steps: its lists refer to the same place again and again`,
    );
  }
}
