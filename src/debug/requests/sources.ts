/** Source files: which there are, and what stands in one that the client cannot open itself. */
import { RequestError } from "../dispatcher";
import { LOADED_SOURCES, SOURCE } from "../protocol/standard";
import type { Session } from "../session";

/** Registers the handlers. */
export function registerSourceRequests(session: Session): void {
  const { dispatcher } = session;
  dispatcher.on(LOADED_SOURCES, () => {
    const { target, sources } = session.debuggee;
    const files = target.symbols.lines?.files() ?? [];
    return { sources: files.map((file) => sources.source(file)).filter((source) => source !== undefined) };
  });
  dispatcher.on(SOURCE, async ({ source, sourceReference = source?.sourceReference }) => {
    if (sourceReference !== undefined && sourceReference > 0) {
      const listing = session.debuggee.listings.get(sourceReference);
      if (listing === undefined) throw new RequestError(`there is no text ${sourceReference} any more`);
      return { content: listing.text };
    }
    const path = source?.path;
    if (path === undefined) throw new RequestError("sources are known by their paths: give source.path");
    const { target, sources } = session.debuggee;
    // Only what the image was made from: no other file of the machine is read for a client.
    const known = (target.symbols.lines?.files() ?? []).some((file) => sources.toPath(file) === path);
    if (!known) throw new RequestError(`${path} is no source of the image`);
    const bytes = await session.host.files.readFile(path).catch(() => undefined);
    if (bytes === undefined) {
      throw new RequestError(`${path} cannot be read: map its folder with sourceFileMap`);
    }
    return { content: new TextDecoder().decode(bytes) };
  });
}
