/** What the extension is through VS Code's own API: runs inside the extension host, in a browser's or desktop VS Code. */
import * as assert from "node:assert/strict";
import * as path from "node:path";
import * as vscode from "vscode";
import { activation } from "./activation";

const EXTENSION = "pagewalk.pagewalk";

interface Message {
  readonly type: string;
  readonly event: string;
  readonly command?: string;
  readonly body?: Record<string, unknown>;
}

/** The messages of the adapter, as the editor got them. */
class Wire {
  private readonly seen: { event: string; body: Record<string, unknown> }[] = [];
  /** Milliseconds from when the debuggee was last told to go on up to its stop. */
  underWay = 0;
  private left = 0;
  private readonly waiting: (() => void)[] = [];
  readonly tracker = vscode.debug.registerDebugAdapterTrackerFactory("pagewalk", {
    createDebugAdapterTracker: () => ({
      onDidSendMessage: (message: Message) => {
        if (message.command === "continue") this.left = performance.now();
        if (message.event === "stopped") this.underWay = performance.now() - this.left;
        if (message.type !== "event") return;
        this.seen.push({ event: message.event, body: message.body ?? {} });
        for (const wake of this.waiting.splice(0)) wake();
      },
    }),
  });

  async next(event: string): Promise<Record<string, unknown>> {
    for (;;) {
      const index = this.seen.findIndex((each) => each.event === event);
      if (index >= 0) return this.seen.splice(index, 1)[0].body;
      await new Promise<void>((wake) => this.waiting.push(wake));
    }
  }
}

suite("Pagewalk in the extension host", () => {
  const wire = new Wire();
  let guests: string;

  suiteSetup(async () => {
    const extension = vscode.extensions.getExtension(EXTENSION);
    assert.ok(extension);
    if (extension.isActive) console.warn("the extension was active before it was measured");
    const before = performance.now();
    await extension.activate();
    activation.milliseconds = performance.now() - before;
    guests = path.join(extension.extensionPath, "guests");
  });

  suiteTeardown(async () => {
    await vscode.debug.stopDebugging();
    wire.tracker.dispose();
  });

  const session = () => {
    const { activeDebugSession } = vscode.debug;
    assert.ok(activeDebugSession);
    return activeDebugSession;
  };
  const ask = (command: string, args: unknown = {}) => session().customRequest(command, args);
  const go = async (command: string) => {
    await ask(command, { threadId: 1 });
    return wire.next("stopped");
  };
  const names = async () =>
    ((await ask("stackTrace", { threadId: 1 })).stackFrames as { name: string }[]).map(({ name }) => name);

  test("its commands and debugger are there", async () => {
    const commands = await vscode.commands.getCommands(true);
    for (const command of [
      "debugProgram",
      "copyProgram",
      "goToTable",
      "walkAddress",
      "viewMemory",
      "showMemoryMap",
      "decodeNumber",
    ]) {
      assert.ok(commands.includes(`pagewalk.${command}`), command);
    }
  });

  test("a configuration with nothing but a bundled program boots it", async () => {
    const started = await vscode.debug.startDebugging(undefined, {
      type: "pagewalk",
      request: "launch",
      name: "test",
      program: "early-fault",
    });
    assert.equal(started, true);
    assert.equal((await wire.next("stopped")).reason, "entry");
    assert.deepEqual(await names(), ["startup_64"]);
  });

  test("a source breakpoint of the editor is verified and hit", async () => {
    const uri = vscode.Uri.file(path.join(guests, "early-fault/tables.c"));
    const breakpoint = new vscode.SourceBreakpoint(new vscode.Location(uri, new vscode.Position(91, 0)));
    vscode.debug.addBreakpoints([breakpoint]);
    for (let stops = 0; stops < 5; stops++) {
      if ((await go("continue")).reason === "breakpoint") break;
    }
    const [top, ...callers] = await names();
    assert.equal(top, "early_make_pgtable");
    assert.ok(callers.includes("#PF read 0xffff880000010000"));
    vscode.debug.removeBreakpoints([breakpoint]);
  });

  test("a stop does not come before the Call Stack view was drawn without frames", async () => {
    await go("continue");
    assert.ok(wire.underWay >= 70, `stopped after ${wire.underWay} ms`);
  });

  test("the hover explains an entry of a table", async () => {
    const document = await vscode.workspace.openTextDocument({
      language: "c",
      content: "early_level4_pgt[511];\n",
    });
    const hovers = await vscode.commands.executeCommand<vscode.Hover[]>(
      "vscode.executeHoverProvider",
      document.uri,
      new vscode.Position(0, 3),
    );
    const text = hovers
      .flatMap(({ contents }) => contents.map((each) => (each as vscode.MarkdownString).value))
      .join();
    assert.match(text, /early_level4_pgt\[511\].*0x1043067/s);
    assert.match(text, /level3_kernel_pgt/);
  });

  test("a page of memory opens as a document with decoded entries", async () => {
    await vscode.commands.executeCommand("pagewalk.viewMemory", "0x1002000");
    const document = vscode.workspace.textDocuments.find(({ uri }) => uri.scheme === "pagewalk-memory");
    assert.match(document?.getText() ?? "", /early_level4_pgt .* table of level 4/);
    assert.match(document?.getText() ?? "", /\[511\] table level3_kernel_pgt/);
  });

  test("the adapter refuses what it cannot do with a sentence, and goes on", async () => {
    await assert.rejects(async () => ask("pagewalk/tables", { parent: "root/9999" }), /there is no row/);
    await assert.rejects(async () => ask("evaluate", { expression: "1 +", frameId: 1 }), /ends too early/);
    assert.equal((await ask("pagewalk/state")).rootName, "early_level4_pgt");
  });

  test("terminating ends the session", async () => {
    const ended = new Promise<void>((done) => {
      const listening = vscode.debug.onDidTerminateDebugSession(() => {
        listening.dispose();
        done();
      });
    });
    await vscode.debug.stopDebugging();
    await ended;
  });
});
