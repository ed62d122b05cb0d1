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

/** Set a number of the tape, as it is; its last zeros after the point are drawn weaker. Returns whether it is another one. */
export function setNumber(node, text) {
  if (node.shown === text) return false;
  node.shown = text;
  const kept = text.includes(".") ? text.replace(/\.?0+$/, "") : text;
  if (kept.length === text.length) node.textContent = text;
  else node.replaceChildren(kept, element("span", { class: "zeros", text: text.slice(kept.length) }));
  return true;
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

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Let a cell flash once, because its number went up (1) or down (-1). */
export function flash(node, direction) {
  if (calm.matches || document.hidden || !direction) return;
  node.flashing?.cancel();
  node.flashing = node.animate([{ color: `var(--${direction > 0 ? "up" : "down"})` }, {}], { duration: 700, easing: "ease-out" });
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
