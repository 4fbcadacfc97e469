/** Whether a file with debugging information belongs to an image (the GNU build ID of `ld --build-id`). */
import { type ElfHeaders, ElfImage, type ElfNote, ImageError } from "./elf";

/** Owner and type of the note that holds the build ID. */
const GNU = "GNU";
const NT_GNU_BUILD_ID = 3;

/** The build ID in hexadecimal digits; undefined where the file has none, or it cannot be read. */
export function buildIdOf(elf: ElfImage): string | undefined {
  const id = notesOf(elf).find(({ name, type }) => name === GNU && type === NT_GNU_BUILD_ID)?.description;
  if (id === undefined || id.length === 0) return undefined;
  return [...id].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Checks that a file with names and debugging information was made from the same link as an image: by their build
 * IDs; where one has none, by the place of their code, which says less.
 * @param file what the file is called, for messages
 * @returns whether the build IDs tell
 * @throws ImageError where the file belongs to another image
 */
export function checkSameBuild(image: ElfImage, debugFile: ElfImage, file: string): boolean {
  if (image.class !== debugFile.class) {
    throw new ImageError(`${file} is for ${debugFile.class} bits, but the image for ${image.class}`);
  }
  const [wanted, found] = [buildIdOf(image), buildIdOf(debugFile)];
  if (wanted !== undefined && found !== undefined) {
    if (wanted === found) return true;
    throw new ImageError(
      `${file} does not belong to the image: its build ID is ${found}, that of the image ${wanted}`,
    );
  }
  const [code, other] = [image.section(".text"), debugFile.section(".text")];
  if (
    code !== undefined &&
    other !== undefined &&
    (code.address !== other.address || code.size !== other.size)
  ) {
    throw new ImageError(
      `${file} does not belong to the image: its .text is linked to ${place(other)}, that of the image to ${place(code)}`,
    );
  }
  return false;
}

function place({ address, size }: { address: bigint; size: number }): string {
  return `0x${address.toString(16)} with 0x${size.toString(16)} bytes`;
}

/** All notes of sections and segments; those that cannot be read are none. */
function notesOf(elf: ElfImage): ElfNote[] {
  const withoutSegments = new ElfImage(elf.bytes, { ...headersOf(elf), segments: [] });
  return [withoutSegments, elf].flatMap((each) => {
    try {
      return each.notes();
    } catch (error) {
      if (error instanceof ImageError) return [];
      throw error;
    }
  });
}

function headersOf(elf: ElfImage): ElfHeaders {
  const { class: width, machine, type, entry, segments, sections } = elf;
  return { class: width, machine, type, entry, segments, sections };
}
