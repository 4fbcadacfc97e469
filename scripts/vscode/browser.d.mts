import type { BrowserContext, Page } from "playwright-core";

export function findChromium(): string;
export function openBrowser(size?: {
  width?: number;
  height?: number;
}): Promise<{ page: Page; context: BrowserContext; close(): Promise<void> }>;
