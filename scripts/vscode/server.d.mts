export interface Server {
  readonly port: number;
  readonly data: string;
  stop(): void;
  log(): string;
}
export function installServer(): void;
export function startServer(options?: {
  env?: Record<string, string>;
  settings?: Record<string, unknown>;
  extension?: string;
}): Promise<Server>;
export function workbenchUrl(
  port: number,
  folder: string,
  options?: { development?: string; tests?: string },
): string;
