/** Entry point of the worker that an editor's debug adapter runs in; bundled to dist/debugWorker.js. */
import { join } from "node:path";
import { parentPort } from "node:worker_threads";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { Connection } from "./connection";
import { nodeHost } from "./nodeHost";

const port = parentPort;
if (port === null) throw new Error("this script is the debug adapter's worker, and runs in no other place");
const connection = new Connection(nodeHost(join(__dirname, "..")), () => port.close());
connection.onDidSendMessage((message) => port.postMessage(message));
port.on("message", (message: DebugProtocol.ProtocolMessage) => connection.handleMessage(message));
