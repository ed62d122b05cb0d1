/** Small helpers for the DOM. Text is set only where it changes; all changes of one animation frame are made together. */

/** Returns a new element. `attributes`: `class`, `text` (its text) and any attribute; children follow. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Set the text of a node, if it is another. Returns whether it was. */
export function setText(node, text) {
  if (node.shown === text) return false;
  node.shown = text;
  node.textContent = text;
  return true;
}

/**
 * Set a number of the tape, as it is. Zeros at its end are there, but not drawn beyond `count` digits after the point; where it has fewer, room
 * is left for them, so that the points of a column stand below each other. Returns whether it is another number.
 */
export function setNumber(node, text, count = 0) {
  if (node.shown === text && node.count === count) return false;
  const changed = node.shown !== text;
  node.shown = text;
  node.count = count;
  const point = text.indexOf(".");
  const end = point < 0 ? text.length : Math.max(text.replace(/\.?0+$/, "").length, count ? Math.min(text.length, point + 1 + count) : 0);
  if (end === text.length) node.textContent = text;
  else node.replaceChildren(text.slice(0, end), element("span", { class: "zeros", text: text.slice(end) }));
  const drawn = point < 0 || end <= point ? 0 : end - point - 1;
  node.style.setProperty("--room", count <= drawn ? "0" : String(count - drawn + (drawn ? 0 : 0.5)));
  return changed;
}

/** Set an attribute, if it is another; null removes it. */
export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** Set the options of a `<select>`, [[value, text, group?], …], if they are others, and its value. */
export function setOptions(select, options, value) {
  const picture = JSON.stringify(options);
  if (select.picture !== picture) {
    select.picture = picture;
    const groups = new Map();
    select.replaceChildren();
    for (const [own, text, group] of options) {
      let parent = select;
      if (group) {
        parent = groups.get(group) ?? element("optgroup", { label: group });
        if (!groups.has(group)) select.append(parent);
        groups.set(group, parent);
      }
      parent.append(element("option", { value: own, text }));
    }
  }
  if (select.value !== value) select.value = value;
}

const FLASH_MS = 400;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Colour a cell for a moment, because its number went up (1) or down (-1). Two paints: an animation would paint sixty times a second. */
export function flash(node, direction) {
  if (calm.matches || document.hidden || !direction) return;
  clearTimeout(node.flashing);
  setAttribute(node, "data-flash", direction > 0 ? "up" : "down");
  node.flashing = setTimeout(() => node.removeAttribute("data-flash"), FLASH_MS);
}

/** Runs each of a number of drawing functions at most once in an animation frame. In a hidden tab none runs until it is seen. */
export class Frame {
  #wanted = new Map();
  #asked = false;

  /** Call `draw` in the next frame. `name`: a later call with the same name replaces this one. */
  want(name, draw) {
    this.#wanted.set(name, draw);
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      const drawn = this.#wanted;
      this.#wanted = new Map();
      for (const call of drawn.values()) call();
    });
  }
}
