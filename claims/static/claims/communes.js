// Suggests communes below the address while it is typed. Without this file the address is a plain line, as good as ever.
const address = document.getElementById("address");
const list = document.getElementById("communes");
let asked = 0;
let pause;

// What stands after the last comma is the commune; before it, house and street.
const split = () => {
  const at = address.value.lastIndexOf(",") + 1;
  return [address.value.slice(0, at), address.value.slice(at).trim()];
};

const show = (names) => {
  list.replaceChildren(...names.map((name) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    button.addEventListener("click", () => {
      const [before] = split();
      address.value = before ? `${before} ${name}` : name;
      show([]);
      address.focus();
    });
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
  list.hidden = names.length === 0;
};

address.addEventListener("input", () => {
  clearTimeout(pause);
  const [before, typed] = split();
  const turn = ++asked;
  if (!before || typed.length < 2) return show([]);
  pause = setTimeout(async () => {
    try {
      const answer = await fetch(`${list.dataset.url}?q=${encodeURIComponent(typed)}`);
      const { communes } = await answer.json();
      if (turn === asked) show(communes);
    } catch {
      show([]); // a bad line: the buyer types on
    }
  }, 150);
});
