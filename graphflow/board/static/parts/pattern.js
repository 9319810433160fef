/** Regular expressions that users type: broken ones are looked for as plain text. */

/** { test(text), isBroken }; the empty text matches everything. */
export function pattern(text) {
  if (!text) return { test: () => true, isBroken: false };
  try {
    const made = new RegExp(text, "i");
    return { test: (name) => made.test(name.length > 1000 ? name.slice(0, 1000) : name), isBroken: false };
  } catch {
    const plain = text.toLowerCase();
    return { test: (name) => name.toLowerCase().includes(plain), isBroken: true };
  }
}
