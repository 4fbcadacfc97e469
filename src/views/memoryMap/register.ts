/** The Memory Map view: its page, and the messages to and from it. */
import * as v from "valibot";
import * as vscode from "vscode";
import {
  type FromPage,
  fromPage,
  mapMessage,
  type ToPage,
  timelineMessage,
  windowMessage,
} from "../../../webview/messages";
import { MEMORY_MAP, MEMORY_MAP_WINDOW, type SpaceName } from "../../debug/protocol/memoryMap";
import { TIMELINE } from "../../debug/protocol/time";
import { ask } from "../ask";
import type { Sessions } from "../sessions";
import type { Moments } from "../time/moments";

/** Events that the timeline draws one by one, at most. */
const MOST_EVENTS = 2000;
const VIEW = "pagewalk.memoryMap";

class MemoryMapView implements vscode.WebviewViewProvider, vscode.Disposable {
  private view: vscode.WebviewView | undefined;
  /** What is to be selected once the page is there. */
  private wanted: ToPage | undefined;
  private space: SpaceName = "domain";
  /** What of the run the timeline shows; all of it without. */
  private span: { readonly from: number; readonly to: number } | undefined;
  private readonly listening: vscode.Disposable;

  constructor(
    private readonly extension: vscode.Uri,
    private readonly sessions: Sessions,
    private readonly moments: Moments,
  ) {
    this.listening = vscode.Disposable.from(
      sessions.onDidChange(() => void this.refresh()),
      sessions.onDidProgress((progress) =>
        this.post({ type: "progress", ...(progress === undefined ? {} : { progress }) }),
      ),
      moments.onDidChange(() => void this.refreshTimeline()),
    );
  }

  dispose(): void {
    this.listening.dispose();
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    const dist = vscode.Uri.joinPath(this.extension, "dist");
    view.webview.options = { enableScripts: true, localResourceRoots: [dist] };
    view.webview.onDidReceiveMessage((message) => this.take(message));
    view.onDidDispose(() => {
      this.view = undefined;
    });
    view.onDidChangeVisibility(() => void this.refresh());
    view.webview.html = pageHtml(view.webview, dist);
  }

  /** Shows the view with a place selected. */
  async select(physical: string | undefined, linear: string | undefined): Promise<void> {
    if (physical !== undefined || linear !== undefined) {
      this.wanted = {
        type: "select",
        ...(physical === undefined ? {} : { physical }),
        ...(linear === undefined ? {} : { linear }),
      };
    }
    await vscode.commands.executeCommand(`${VIEW}.focus`);
    await this.refresh();
  }

  private take(message: unknown): void {
    const read = v.safeParse(fromPage, message);
    if (!read.success) return;
    const request = read.output;
    switch (request.type) {
      case "ready":
        void this.refresh();
        break;
      case "window":
        void this.explore(request);
        break;
      case "space":
        this.space = request.space;
        void this.refresh();
        break;
      case "timeline":
        this.span = { from: request.from, to: request.to };
        void this.refreshTimeline();
        break;
      case "travel":
        void this.moments.look(request.to);
        break;
      case "cancelTravel":
        void this.moments.cancel();
        break;
      case "continueHere":
        void vscode.commands.executeCommand("pagewalk.continueFromHere");
        break;
      case "present":
        void vscode.commands.executeCommand("pagewalk.backToPresent");
        break;
      case "moment":
        void vscode.commands.executeCommand(
          request.role === "first" ? "pagewalk.setFirstMoment" : "pagewalk.compareWithMoment",
          request.instruction,
        );
        break;
      case "command":
        void vscode.commands.executeCommand(`pagewalk.${request.command}`, request.argument);
    }
  }

  private async explore({ start, end }: Extract<FromPage, { type: "window" }>): Promise<void> {
    const { session, state } = this.sessions;
    if (session === undefined || state !== "stopped") return;
    await this.postOrTell(async () =>
      windowMessage({ start, end }, await ask(session, MEMORY_MAP_WINDOW, { start, end })),
    );
  }

  private async refresh(): Promise<void> {
    const { view, sessions } = this;
    if (view === undefined || !view.visible) return;
    const { session, state } = sessions;
    this.post({ type: "state", state: state ?? "none" });
    if (session === undefined) this.span = undefined;
    if (session === undefined || state !== "stopped") return;
    await this.refreshTimeline();
    await this.postOrTell(async () => mapMessage(await ask(session, MEMORY_MAP, { space: this.space })));
    if (this.wanted !== undefined) {
      this.post(this.wanted);
      this.wanted = undefined;
    }
  }

  private async refreshTimeline(): Promise<void> {
    const { view, sessions, moments } = this;
    const { session, state } = sessions;
    if (view?.visible !== true || session === undefined || state !== "stopped") return;
    await this.postOrTell(async () => {
      const timeline = await ask(session, TIMELINE, { ...this.span, count: MOST_EVENTS });
      return timelineMessage(timeline, moments.first);
    });
  }

  /** Posts what the adapter answers, or why it does not. */
  private async postOrTell(message: () => Promise<ToPage>): Promise<void> {
    try {
      this.post(await message());
    } catch (error) {
      this.post({ type: "problem", text: error instanceof Error ? error.message : String(error) });
    }
  }

  private post(message: ToPage): void {
    void this.view?.webview.postMessage(message);
  }
}

function pageHtml(webview: vscode.Webview, dist: vscode.Uri): string {
  const nonce = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
  const script = webview.asWebviewUri(vscode.Uri.joinPath(dist, "memoryMap.js"));
  const style = webview.asWebviewUri(vscode.Uri.joinPath(dist, "memoryMap.css"));
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src ${webview.cspSource}; font-src ${webview.cspSource}`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${style}">
<title>Memory Map</title>
</head>
<body data-state="none">
<div id="welcome">
<p>Boot a program to see who owns each page of its memory, and what leads there.</p>
<vscode-button id="start">Boot a Program</vscode-button>
</div>
<section id="timeline" aria-label="Timeline"></section>
<header>
<vscode-button id="zoom-in" appearance="secondary" aria-label="Zoom in">+</vscode-button>
<vscode-button id="zoom-out" appearance="secondary" aria-label="Zoom out">−</vscode-button>
<vscode-button id="whole" appearance="secondary">Show all</vscode-button>
<vscode-text-field id="address" placeholder="Go to 0x…" aria-label="Go to an address"></vscode-text-field>
<vscode-checkbox id="as-table">As a table</vscode-checkbox>
<vscode-checkbox id="machine" hidden>Machine addresses</vscode-checkbox>
<span id="status" role="status"></span>
</header>
<main><div id="picture"></div><div id="details"></div></main>
<div id="legend"></div>
<script nonce="${nonce}" src="${script}"></script>
</body>
</html>`;
}

/** Registers the view and its command. */
export function registerMemoryMap(
  context: vscode.ExtensionContext,
  sessions: Sessions,
  moments: Moments,
): vscode.Disposable {
  const view = new MemoryMapView(context.extensionUri, sessions, moments);
  return vscode.Disposable.from(
    view,
    vscode.window.registerWebviewViewProvider(VIEW, view),
    vscode.commands.registerCommand("pagewalk.showMemoryMap", (physical?: unknown, linear?: unknown) =>
      view.select(
        typeof physical === "string" ? physical : undefined,
        typeof linear === "string" ? linear : undefined,
      ),
    ),
  );
}
