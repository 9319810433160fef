/** Requests to the board's own server. */

/** An answer that is not 200: the server's sentence, its hint, and the status (0 if it did not answer). */
export class ApiError extends Error {
  constructor(message, hint, status) {
    super(message);
    this.hint = hint;
    this.status = status;
  }
}

/** The address /api/PATH?key=value; lists give a key several times, undefined and null are left out. */
export function address(path, params = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null) query.append(key, String(one));
    }
  }
  const text = query.toString();
  return `/api/${path.replace(/^\/?(api\/)?/, "")}${text ? `?${text}` : ""}`;
}

async function answer(target, options) {
  let found;
  try {
    found = await fetch(target, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The board does not answer.", "Is `graphflow board` still running?", 0);
  }
  if (found.ok) return found;
  const text = await found.text();
  let told = {};
  try {
    told = JSON.parse(text);
  } catch {
    told = { error: text.slice(0, 500) };
  }
  throw new ApiError(told.error || `status ${found.status}`, told.hint || "", found.status);
}

/** GET as JSON; `options` may have an AbortSignal as `signal`. */
export async function api(path, params, options = {}) {
  return (await answer(address(path, params), options)).json();
}

/** GET as a Blob. */
export async function blob(path, params, options = {}) {
  return (await answer(address(path, params), options)).blob();
}

/** POST JSON. */
export async function send(path, body) {
  const headers = { "content-type": "application/json" };
  return (await answer(address(path), { method: "POST", headers, body: JSON.stringify(body) })).json();
}

/** Splits names so that no address gets longer than servers take. */
export function inParts(names, most = 100, letters = 6000) {
  const parts = [[]];
  let used = 0;
  for (const name of names) {
    const size = encodeURIComponent(name).length + 5;
    const last = parts[parts.length - 1];
    if (last.length && (last.length >= most || used + size > letters)) {
      parts.push([name]);
      used = size;
    } else {
      last.push(name);
      used += size;
    }
  }
  return parts[0].length ? parts : [];
}
