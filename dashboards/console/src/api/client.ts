/** Requests to the API: JSON in, JSON out, problems (RFC 9457) as errors. */

export const ROOT = "/api/v1";

/** An answer that is no success. `status` 0: no answer came at all. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly code: string = "",
  ) {
    super(detail || title || String(status));
    this.name = "Problem";
  }
}

type Parameter = string | number | boolean | null | undefined | readonly (string | number)[];

/** Path with its query; empty parameters are left out, lists repeat their name. */
export function address(path: string, query: Record<string, Parameter> = {}): string {
  const search = new URLSearchParams();
  for (const [name, given] of Object.entries(query)) {
    if (given === null || given === undefined || given === "") continue;
    if (typeof given === "object") for (const item of given) search.append(name, String(item));
    else search.append(name, String(given));
  }
  const text = search.toString();
  return ROOT + path + (text === "" ? "" : `?${text}`);
}

async function problem(response: Response): Promise<Problem> {
  const body: unknown = await response.json().catch(() => null);
  const told = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const say = (name: string): string => (typeof told[name] === "string" ? (told[name] as string) : "");
  return new Problem(response.status, say("title") || response.statusText, say("detail"), say("code"));
}

/** Ask, and return the answer's JSON (or undefined for 204). Throws `Problem`. */
export async function ask<T>(path: string, query?: Record<string, Parameter>, init?: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(address(path, query), {
      ...init,
      headers: { Accept: "application/json", "Accept-Language": document.documentElement.lang, ...init?.headers },
    });
  } catch (error) {
    if (init?.signal?.aborted === true) throw error;
    throw new Problem(0, "", String(error));
  }
  if (!response.ok) throw await problem(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** POST a JSON body. */
export function post<T>(path: string, body: unknown): Promise<T> {
  return ask<T>(path, {}, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

/** Send a device book; with `dry` nothing is changed. */
export function importBook<T>(file: File, dry: boolean): Promise<T> {
  const form = new FormData();
  form.append("file", file, file.name);
  return ask<T>("/book/import", { dry_run: dry }, { method: "POST", body: form });
}
