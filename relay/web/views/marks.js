// Small parts that several views use: the mark of a severity, and text that stays in its box.
import { html } from "../dom.js";

// Its shape tells the severity without colour.
export function Severity({ of, label = true }) {
  return label
    ? html`<span class="sev ${of}" role="img" aria-label=${of}></span>`
    : html`<span class="sev ${of}" aria-hidden="true"></span>`;
}

// One line of text that is cut where it is too long, whole in its title, and isolated from the
// direction of what is around it.
export function Cut({ text, class: name = "", as = "span" }) {
  return html`<${as} class="cut ${name}" title=${text}><bdi>${text}</bdi><//>`;
}
