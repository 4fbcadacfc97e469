/** The traffic of a session, kept as a file: what changes in the protocol shows in its diff. */
import { expect, test } from "vitest";
import { expectGolden } from "../cli/golden";
import { DapClient, ROOT } from "../support/dapClient";

test("the first page fault, from launch to its handler", async () => {
  const client = new DapClient();
  await client.start({}, ["page-fault"]);
  await client.go("continue");
  await client.ask("exceptionInfo", { threadId: 1 });
  await client.frames();
  await client.go("stepIn");
  await client.frames();
  await client.ask("scopes", { frameId: 3 });
  await client.ask("evaluate", { expression: "from", frameId: 3, context: "hover" });
  await client.go("stepOut");
  await client.ask("pagewalk/tables", { parent: "root" });
  await client.ask("evaluate", { expression: "/walk from", context: "repl" });
  client.end();
  expect(client.messages.length).toBeGreaterThan(20);
  const lines = client.messages.map((message) => {
    const { seq: _seq, ...rest } = message as unknown as Record<string, unknown>;
    // What the adapter can do is compared with its declaration elsewhere.
    return JSON.stringify(rest.command === "initialize" ? { ...rest, body: "..." } : rest);
  });
  expectGolden(
    new URL(".", import.meta.url).pathname,
    "first-page-fault",
    `${lines.join("\n").replaceAll(ROOT, "<root>")}\n`,
  );
});
