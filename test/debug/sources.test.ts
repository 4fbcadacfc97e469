import { describe, expect, test } from "vitest";
import { prefixOf } from "../../src/debug/listings";
import { Sources } from "../../src/debug/sources";

const sources = (map: Record<string, string>, ...there: string[]) =>
  new Sources(map, { exists: (path) => there.includes(path) });

describe("a source file's path on this machine", () => {
  test("has the longest prefix replaced that is mapped", () => {
    const mapped = sources({ "/build": "/home/me/other", "/build/linux/": "/home/me/linux/" });
    expect(mapped.toPath("/build/linux/arch/x86/mm/init.c")).toBe("/home/me/linux/arch/x86/mm/init.c");
    expect(mapped.toPath("/build/lib.c")).toBe("/home/me/other/lib.c");
    expect(mapped.toPath("/builder/lib.c")).toBe("/builder/lib.c");
    expect(mapped.toFiles("/home/me/linux/mm/slub.c")[0]).toBe("/build/linux/mm/slub.c");
  });

  test("of a relative name is found by a relative prefix, or by that of all relative names", () => {
    const build = sources({ "debian/build/amd64": "/src/linux" });
    expect(build.toPath("debian/build/amd64/kernel/fork.c")).toBe("/src/linux/kernel/fork.c");
    expect(build.toPath("./debian/build/amd64/kernel/fork.c")).toBe("/src/linux/kernel/fork.c");
    expect(build.toFiles("/src/linux/kernel/fork.c")[0]).toBe("debian/build/amd64/kernel/fork.c");
    for (const prefix of [".", "./", ""]) {
      const any = sources({ [prefix]: "/src/linux", "/build": "/abs" });
      expect(any.toPath("./arch/x86/kernel/head64.c")).toBe("/src/linux/arch/x86/kernel/head64.c");
      expect(any.toPath("/build/x.c")).toBe("/abs/x.c");
      expect(any.toPath("/other/x.c")).toBe("/other/x.c");
      expect(any.toFiles("/src/linux/arch/x86/kernel/head64.c")[0]).toBe("arch/x86/kernel/head64.c");
    }
  });

  test("may have Windows' separators on either side", () => {
    const mapped = sources({ "/build/linux": "C:\\src\\linux", "D:\\kernel\\tree": "c:/tree" });
    expect(mapped.toPath("/build/linux/mm/slub.c")).toBe("c:/src/linux/mm/slub.c");
    expect(mapped.toFiles("C:\\src\\linux\\mm\\slub.c")[0]).toBe("/build/linux/mm/slub.c");
    expect(mapped.toPath("d:\\kernel\\tree\\a\\b.c")).toBe("c:/tree/a/b.c");
    expect(sources({ "build\\out": "/src" }).toPath("build/out/x.c")).toBe("/src/x.c");
  });

  test("may be the whole file system's, moved below a folder", () => {
    const mapped = sources({ "/": "/mnt/root" });
    expect(mapped.toPath("/usr/src/x.c")).toBe("/mnt/root/usr/src/x.c");
    expect(mapped.toFiles("/mnt/root/usr/src/x.c")[0]).toBe("/usr/src/x.c");
  });

  test("that is relative is no file, wherever this process was started", () => {
    expect(sources({}, "kernel/fork.c").source("kernel/fork.c")).toBeUndefined();
    expect(sources({ ".": "/src" }, "/src/kernel/fork.c").source("kernel/fork.c")).toEqual({
      name: "fork.c",
      path: "/src/kernel/fork.c",
    });
  });
});

test("the prefix that is worth mapping is what a file has in common with its compilation's directory", () => {
  const build = "/build/linux-6.1/debian/build/amd64";
  expect(prefixOf("/build/linux-6.1/arch/x86/kernel/head_64.S", build)).toBe("/build/linux-6.1");
  expect(prefixOf("debian/build/amd64/kernel/fork.c", "debian/build/amd64")).toBe("debian/build/amd64");
  expect(prefixOf("/usr/include/stdint.h", build)).toBe("/usr/include");
  expect(prefixOf("fork.c", "")).toBe(".");
});
