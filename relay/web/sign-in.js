// The form by which somebody signs in: by e-mail and password where the relay knows the project's
// publishable key, or by a token.
export class SignIn {
  #session;
  #changed;
  #root = document.getElementById("sign-in");
  #password = document.getElementById("by-password");
  #token = document.getElementById("by-token");
  #error = this.#root.querySelector(".error");
  #signOut = document.getElementById("sign-out");

  // `changed` is called when somebody else, or nobody, is signed in.
  constructor(session, changed) {
    this.#session = session;
    this.#changed = changed;
    this.#signOut.hidden = !session.signedIn;
    this.#signOut.addEventListener("click", () => this.#leave());
    this.#submits(this.#token, (given) => session.use(given.get("token").trim()));
    this.#submits(this.#password, (given) => session.signIn(given.get("email"), given.get("password")));
  }

  // Show the form, and why the relay let nobody in. With `focus`: somebody waits for it.
  async ask(reason, { focus = false } = {}) {
    const shown = !this.#root.hidden;
    this.#root.hidden = false;
    this.#error.textContent = this.#session.signedIn ? `The relay refused the token: ${reason}` : "";
    if (!shown) await this.#offer();
    if (!focus) return;
    this.#root.scrollIntoView({ block: "nearest" });
    (this.#password.hidden ? this.#token : this.#password).querySelector("input").focus();
  }

  async #offer() {
    let byPassword = false;
    try {
      byPassword = Boolean((await this.#session.config()).publishable_key);
    } catch {
      // A token can be pasted all the same.
    }
    this.#password.hidden = !byPassword;
    this.#token.closest("details").open = !byPassword;
  }

  // Somebody is let in.
  settled() {
    this.#root.hidden = true;
    this.#error.textContent = "";
    this.#signOut.hidden = !this.#session.signedIn;
  }

  #submits(form, act) {
    const button = form.querySelector("button");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      this.#error.textContent = "";
      try {
        await act(new FormData(form));
        form.reset();
        this.#changed();
      } catch (error) {
        this.#error.textContent = error.message;
      } finally {
        button.disabled = false;
      }
    });
  }

  async #leave() {
    this.#signOut.hidden = true;
    await this.#session.signOut();
    this.#changed();
  }
}
