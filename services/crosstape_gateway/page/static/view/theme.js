/** The colour scheme: the system's, or one that the user chose; kept in this browser. */

const KEY = "crosstape.theme";
const CHOICES = ["system", "dark", "light"];

function stored() {
  try {
    const value = localStorage.getItem(KEY);
    return CHOICES.includes(value) ? value : "system";
  } catch {
    return "system"; // storage is blocked: the choice lasts as long as the page
  }
}

export class Theme {
  #system = matchMedia("(prefers-color-scheme: dark)");
  #choice = stored();

  /** `changed()` is called when other colours are shown. */
  constructor(button, changed) {
    this.button = button;
    this.changed = changed;
    this.#system.addEventListener("change", () => this.#apply());
    button.addEventListener("click", () => {
      this.#choice = CHOICES[(CHOICES.indexOf(this.#choice) + 1) % CHOICES.length];
      try {
        localStorage.setItem(KEY, this.#choice);
      } catch {
        // as above
      }
      this.#apply();
    });
    this.#apply();
  }

  #apply() {
    const dark = this.#choice === "dark" || (this.#choice === "system" && this.#system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    this.button.textContent = `Theme: ${this.#choice}`;
    this.changed();
  }
}

/** Returns the value of a colour of the theme. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
