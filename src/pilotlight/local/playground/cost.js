// Cost: what the invocations since the server started would have cost on Lambda, at the settings of now.

import { get } from "./api.js";
import { element, quiet, table } from "./element.js";
import { number } from "./charts.js";

const EVERY = 5000;  // ms
const dollars = amount => amount === 0 ? "$0" : `$${amount.toFixed(amount >= 1 ? 2 : Math.min(12, 2 - Math.floor(Math.log10(amount))))}`;
const short = key => key.replace("--", "/");

export async function view(main, signal) {
  const total = element("p", { className: "total" });
  const place = element("div");
  main.replaceChildren(
    element("h1", {}, "Cost"),
    quiet("The running bill: what all invocations since the server started would have cost on AWS Lambda at their functions' current settings. On this machine they cost nothing."),
    total, place);
  for (;;) {
    const bill = await get("/_pilotlight/bill", signal);
    const text = `${dollars(bill.total)} since ${new Date(bill.since).toLocaleTimeString("en-GB")}`;
    if (total.textContent !== text) total.textContent = text;
    if (!place.contains(document.activeElement)) place.replaceChildren(...shown(bill));
    await new Promise(resolve => setTimeout(resolve, EVERY));
    if (signal.aborted) return;
  }
}

function shown({ items, total, per_million, region, notes }) {
  const columns = [
    { name: "Function", of: row => short(row.function) },
    { name: "What", of: row => row.what },
    { name: "Quantity", number: true, of: row => `${number(row.quantity)} ${row.unit}` },
    { name: "Price", number: true, of: row => `${dollars(row.price)} / ${row.unit}` },
    { name: "Amount", number: true, of: row => dollars(row.amount) },
  ];
  const million = [
    { name: "Function", of: row => short(row.function) },
    { name: "A million requests like these", number: true, of: row => dollars(row.amount) },
  ];
  return [
    items.length ? table("The bill", columns, items, ["Total", "", "", "", dollars(total)]) : quiet("No invocation yet."),
    per_million.length > 0 && table("Projected", million, per_million),
    quiet(`Prices of ${region}, without the free tier. `, ...notes.join(" ")),
  ].filter(Boolean);
}
