import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { i18n } from "../src/i18n/i18n.svelte";
import { getJson, RefusedError, sendJson } from "../src/protocol/rest";

let asked: RequestInit[] = [];
let answer: Response;

beforeEach(() => {
  asked = [];
  answer = new Response("{}", { status: 200 });
  vi.stubGlobal("fetch", (_path: string, init: RequestInit) => {
    asked.push(init);
    return Promise.resolve(answer.clone());
  });
});

afterEach(() => {
  i18n.language = "en";
  vi.unstubAllGlobals();
});

const refused = async (status: number, body: unknown): Promise<RefusedError> => {
  answer = new Response(JSON.stringify(body), { status, statusText: "Unprocessable" });
  return (await sendJson("POST", "/api/tracks", {}).catch((error: unknown) => error)) as RefusedError;
};

describe("a request", () => {
  it("says the language of the page, and the kind of its body", async () => {
    await getJson("/api/me");
    i18n.language = "fr";
    await getJson("/api/me");
    await sendJson("POST", "/api/tracks", { name: "Montlhéry" });
    expect(asked.map((init) => init.headers)).toEqual([
      { "Accept-Language": "en" },
      { "Accept-Language": "fr" },
      { "Accept-Language": "fr", "Content-Type": "application/json" },
    ]);
    expect(asked[0]?.body).toBeUndefined();
    expect(asked[2]?.body).toBe('{"name":"Montlhéry"}');
  });
});

describe("a refusal", () => {
  it("has the server's words", async () => {
    const error = await refused(409, { error: { code: "name_taken", message: "the name 'Ada' is taken; choose another" } });
    expect(error).toBeInstanceOf(RefusedError);
    expect([error.status, error.code, error.message]).toEqual([409, "name_taken", "the name 'Ada' is taken; choose another"]);
  });

  it("says what is wrong with a body, and where", async () => {
    const detail = [{ type: "missing", loc: ["body", "lines", 0, "start"], msg: "Field required", input: {} }];
    expect((await refused(422, { detail })).message).toBe("lines.0.start: Field required");
    i18n.language = "fr";
    expect((await refused(422, { detail: [{ ...detail[0], msg: "champ obligatoire" }] })).message).toBe("lines.0.start\u00a0: champ obligatoire");
    expect((await refused(422, { detail: [{ loc: ["body"], msg: "JSON illisible" }] })).message).toBe("JSON illisible");
  });

  it("has the status where the server says nothing", async () => {
    for (const body of [{}, { detail: "Not Found" }, { detail: [] }]) expect((await refused(404, body)).message).toBe("Unprocessable");
  });
});
