import { quiet } from "./element.js";

export function view(main) {
  main.replaceChildren(quiet("Not there yet."));
}
