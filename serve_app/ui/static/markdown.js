// Markdown of strangers' documents as elements: parsed, then reduced to what is listed here.

import { marked } from "./vendor/marked.js";
import "./vendor/purify.js";

const RULES = {
  ALLOWED_TAGS: [
    ...["h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "div", "blockquote", "pre", "code"],
    ...["ul", "ol", "li", "strong", "b", "em", "i", "u", "s", "del", "sub", "sup", "span", "img"],
    ...["table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "th", "td"],
  ],
  // No style, class, id, name or href: a document has no say in how this page looks or works.
  ALLOWED_ATTR: ["alt", "align", "colspan", "rowspan", "src", "start"],
  // Pictures come within the text; nothing is fetched for a document.
  ALLOWED_URI_REGEXP: /^data:image\/(?:png|jpeg|webp|gif);base64,/i,
  ADD_DATA_URI_TAGS: [],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

const purify = globalThis.DOMPurify;

purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName === "IMG") {
    // DOMPurify lets every data: address of a picture pass.
    if (!RULES.ALLOWED_URI_REGEXP.test(node.getAttribute("src") || "")) node.removeAttribute("src");
    if (!node.hasAttribute("alt")) node.setAttribute("alt", "Picture");
  }
  // An empty header cell has nothing to say to a screen reader.
  if (node.nodeName === "TH") node.setAttribute("scope", "col");
});

// Styles and handlers of events are dropped in any case. Renamed before they are parsed, they make no
// noise in the policy's reports, in which something that matters would be lost: browsers report what
// is only parsed, too. A template's content is dropped. In quotes, a tag may have any character.
const TAG = /<(?:"[^"]*"|'[^']*'|[^<>])*>?/g;
const unarmed = (markup) => markup.replace(TAG, (tag) => tag
  .replace(/^(<\/?)style(?![\w-])/i, "$1template")
  .replace(/^(<\/?)base(?![\w-])/i, "$1x-base")
  .replace(/([\s"'/])(?=(?:style|on[a-z]+)[\s=])/gi, "$1data-"));

export const clean = (markup) => purify.sanitize(unarmed(markup), RULES);

/** A fragment for each piece of the text, in order. */
export function pieces(text) {
  const tokens = marked.lexer(text, { gfm: true });
  return tokens
    .filter((token) => token.type !== "space" && token.type !== "def")
    .map((token) => clean(marked.parser([token])))
    .filter((fragment) => fragment.textContent.trim() || fragment.querySelector("img, table, hr"));
}

const plain = (text) => text.normalize("NFKC").replace(/[^\p{L}\p{N}]+/gu, "");

/** For each piece the index of the block that it comes from, or -1: both are in one order. */
export function origins(fragments, page, isPicture) {
  const texts = page.blocks.map((block) => plain(block.lines.map((line) => page.lines[line].text).join("")));
  let from = 0;
  return fragments.map((fragment) => {
    const text = plain(fragment.textContent), picture = fragment.querySelector("img");
    const fits = (index) => {
      if (!text) return Boolean(picture) && isPicture(page.blocks[index]);
      if (!texts[index]) return false;
      return texts[index].includes(text) || text.includes(texts[index]);
    };
    for (let step = 0; step < texts.length; step += 1) {
      const index = (from + step) % texts.length;
      if (fits(index)) {
        from = picture && !text ? index + 1 : index;
        return index;
      }
    }
    return -1;
  });
}
