/** The text that is selected in the tab. */

/**
 * Runs inside the page, so that it uses nothing from outside itself. Looks where the focus is first, then into every
 * frame of the page's own origin: scripts reach no other, and `activeTab` opens no other. Passwords are left alone.
 * @returns {string} "" for none
 */
export function readSelection() {
  /** @param {any} root a document or an open shadow root, perhaps of a frame: `instanceof` knows this frame's alone */
  const inRoot = root => {
    const active = root.activeElement;
    if (active?.type === "password") return "";
    if (typeof active?.selectionStart === "number") {
      return active.value.slice(active.selectionStart, active.selectionEnd);
    }
    const inside = active?.contentDocument ?? active?.shadowRoot;
    return (inside && inRoot(inside)) || String(root.getSelection?.() ?? "");
  };

  /** @param {any} page @returns {string} */
  const inPage = page => {
    let text = inRoot(page);
    for (const frame of page.querySelectorAll("iframe, frame")) {
      text ||= frame.contentDocument ? inPage(frame.contentDocument) : "";
    }
    return text;
  };
  return inPage(document);
}

/**
 * @returns {Promise<string | null>} "" when nothing is selected; null when the page lets no script in, as those of
 *   Chrome itself, the Web Store and other extensions
 */
export async function takeSelection() {
  const [tab] = await chrome.tabs.query({ active: true, currentWindow: true });
  const target = { tabId: /** @type {number} */ (tab.id) };
  try {
    const [{ result }] = await chrome.scripting.executeScript({ target, func: readSelection });
    return result ?? "";
  } catch {
    return null;
  }
}
