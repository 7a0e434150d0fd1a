"use strict";
// Draws the record of a scenario (epbell_tb/records.py says what is in it): lanes, time downwards, a row for each entry.

const known = JSON.parse(document.getElementById("known").textContent);
const get = (id) => document.getElementById(id);

const PAGE = 250; // rows
const TOP = 34; // of the drawing, above the first row
const WIDTH = 1180;
const LANES = { host: 250, link: 500, endpoint: 800, cpu: 1130 };
const TITLES = { host: "host", link: "link", endpoint: "endpoint", cpu: "CPU" };
const TYPES = ["MRd", "MWr", "IORd", "IOWr", "FetchAdd", "Swap", "CAS", "MRdLk", "CfgRd0", "CfgRd1", "CfgWr0", "CfgWr1",
  "Msg", "MsgVD", "MsgATS", "type 15"];
const STATUS = { 0: "SC", 1: "UR", 2: "CRS", 4: "CA" };
const NOTICES = { 8: "given up: function-level reset", 9: "timeout" };
const RESPONSES = ["", "", " SLVERR", " DECERR"];
const RESETS = { rst: "reset", hot: "hot reset", flr: "function-level reset", D3hot: "D3hot" };

let record; // of the scenario that is shown
let entries = []; // all of it, by time
let chosen = []; // those that the user wants to see
let page = 0;

// -- what an entry means

const hex = (value, digits = 1) => `0x${BigInt(value).toString(16).padStart(digits, "0")}`;

function local(address) {
  const found = record.places.find(([, base, size]) => address >= base && address < base + size);
  if (!found) return hex(address, 8);
  const [place, base] = found;
  const names = record.registers[place] ?? known.registers[place === "edma" ? record.edma : place];
  const name = names?.[(address - base) & ~3];
  return name ? `${place} ${name}` : `${place} +${hex(address - base)}`;
}

function barred(entry) {
  const address = BigInt(`0x${entry.address}`);
  const base = record.bars[entry.bar];
  const offset = base === undefined ? -1n : address - BigInt(`0x${base}`);
  return offset >= 0n && offset < 1n << 28n ? `BAR${entry.bar} +${hex(offset)}` : `BAR${entry.bar} ${hex(address)}`;
}

function words(entry) { // a payload of one dword as a number, as both ends' software has it
  if (!entry.data) return "";
  const bytes = entry.data.match(/../g);
  return entry.bytes === 4 ? ` = 0x${bytes.toReversed().join("")}` : "";
}

const completes = (entry) => (entry.status === 0 && entry.bytes ? "CplD" : "Cpl");

// kind of entry -> lane, lane, group, text, whether something is wrong with it
const SHOWN = {
  request: (e) => ["host", "endpoint", "host",
    `${TYPES[e.type]} ${barred(e)}, ${4 * e.length} B${e.type === 1 ? "" : `, tag ${e.tag}`}${words(e)}${e.meaning && `: ${e.meaning}`}`,
    /refused|discont|malform|unsupp/.test(e.meaning)],
  completion: (e) => ["endpoint", "host", "host",
    `${completes(e)} ${STATUS[e.status] ?? e.status}, tag ${e.tag}${e.bytes ? `, ${e.bytes} B${words(e)}` : ""}`, e.status !== 0],
  sent: (e) => ["endpoint", "host", e.meaning ? "interrupt" : "endpoint",
    `${e.meaning ? `${e.meaning}: ` : ""}${TYPES[e.type]} 0x${e.address}, ${4 * e.length} B${e.type === 1 ? "" : `, tag ${e.tag}`}${words(e)}`, false],
  answer: (e) => (NOTICES[e.error] // the hard block's own word, not a completion
    ? ["link", "endpoint", "endpoint", `${NOTICES[e.error]}, tag ${e.tag}`, true]
    : ["host", "endpoint", "endpoint",
      `${completes(e)} ${STATUS[e.status] ?? e.status}, tag ${e.tag}${words(e)}${e.poisoned ? ", poisoned" : ""}${e.error > 1 ? `, error ${e.error}` : ""}`,
      e.status !== 0 || e.error !== 0]),
  write: (e) => ["cpu", "endpoint", "cpu",
    `${local(e.address)} := ${hex(e.data)}${e.strobes === 15 ? "" : ` strobes ${e.strobes.toString(2).padStart(4, "0")}`}${answered(e)}`, wrong(e)],
  read: (e) => ["cpu", "endpoint", "cpu", `${local(e.address)} is ${e.last === null ? "?" : hex(e.data)}${answered(e)}`, wrong(e)],
  line: (e) => ["endpoint", "cpu", "interrupt", `${e.name} ${e.level ? "rises" : "falls"}`, false],
  intx: (e) => ["endpoint", "host", "interrupt", `INTA ${e.level ? "asserted" : "deasserted"}`, false],
  msi: (e) => ["endpoint", "host", "interrupt", `MSI ${e.vector}, ${e.last - e.first} clocks`, false],
  msix: (e) => ["endpoint", "host", "interrupt", `MSI-X ${e.vector}, ${e.last - e.first} clocks`, false],
  reset: (e) => ["host", "cpu", "reset", RESETS[e.what] ?? e.what, false],
  gap: (e) => ["host", "cpu", "reset", `${e.number} entries are not kept here`, false],
};
const answered = (e) => (e.last === null ? " never answered" : RESPONSES[e.response]);
const wrong = (e) => e.last === null || e.response !== 0;

function prepared() {
  const onRq = new Set(record.entries.filter(([kind, , last, ...more]) => kind === "sent" && more.at(-1)).map((e) => e[2]));
  const found = record.entries
    .filter(([kind, , last]) => !(kind === "msix" && onRq.has(last))) // it is there as what it is on RQ
    .map(([kind, ...values]) => Object.fromEntries([["kind", kind], ...record.columns[kind].map((name, n) => [name, values[n]])]));
  if (record.left_out.number) {
    const next = record.entries[record.left_out.behind];
    found.push({ kind: "gap", first: next[1], number: record.left_out.number });
  }
  for (const entry of found) {
    [entry.from, entry.to, entry.group, entry.text, entry.bad] = SHOWN[entry.kind](entry);
    entry.end = entry.last ?? entry.first;
  }
  return found.sort((a, b) => a.first - b.first || a.end - b.end);
}

// -- the drawing

function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function heights(rows, row) { // returns what tells where a clock, or an entry that begins then, is between the rows
  const numbers = new Map(rows.map((entry, n) => [entry, n]));
  return (clock, entry) => {
    if (numbers.has(entry)) return TOP + row * numbers.get(entry) + row / 2;
    let low = 0;
    let high = rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (rows[middle].first <= clock) low = middle;
      else high = middle - 1;
    }
    const next = rows[low + 1]?.first ?? rows[low].first + 16;
    const part = Math.max(0, Math.min(1, (clock - rows[low].first) / Math.max(1, next - rows[low].first)));
    return TOP + row * (low + part) + row / 2;
  };
}

function levels(rows, at, bottom) { // the interrupt lines' high phases, beside the lane of who sees them
  const found = [];
  for (const [n, [name, lane]] of [["irq_mu", "cpu"], ["irq_edma", "cpu"], ["INTA", "host"]].entries()) {
    const edges = entries.filter((e) => (name === "INTA" ? e.kind === "intx" : e.kind === "line" && e.name === name));
    edges.forEach((edge, index) => {
      const end = edges[index + 1]?.first ?? Infinity;
      if (!edge.level || end < rows[0].first || edge.first > rows.at(-1).first) return;
      const from = edge.first < rows[0].first ? TOP : at(edge.first, edge);
      const to = end === Infinity || end > rows.at(-1).first ? bottom : at(end, edges[index + 1]);
      const x = LANES[lane] + (lane === "host" ? -9 : 3 + 9 * n);
      found.push(svg("rect", { class: "level", x, y: from, width: 6, height: Math.max(2, to - from) },
        svg("title", {}, `${name} is high`)));
    });
  }
  return found;
}

function tip(x, y, right) {
  return svg("path", { class: "tip", d: `M${x} ${y} l${right ? -8 : 8} -4 v8 z` });
}

function line(entry, y, row, at, before, texts) {
  const [from, to] = [LANES[entry.from], LANES[entry.to]];
  const right = to > from;
  const end = entry.end > entry.first ? Math.max(y, at(entry.end)) : y;
  const cpu = entry.kind === "read" || entry.kind === "write";
  const drawn = svg("g", { class: `entry ${entry.group}${entry.bad ? " bad" : ""}`, tabindex: 0, role: "button",
    "aria-label": `clock ${entry.first}, ${TITLES[entry.from]} to ${TITLES[entry.to]}: ${entry.text}` });
  drawn.append(svg("rect", { class: "hit", x: 0, y: y - row / 2, width: WIDTH, height: row }));
  if (entry.group === "reset") {
    drawn.append(svg("path", { d: `M${from} ${y} H${to}` }));
  } else if (cpu) { // there and, if it was answered, back again: at once, or after a while
    drawn.append(svg("path", { d: `M${from} ${y} H${to}` }), tip(to, y, right));
    if (entry.last !== null && end - y <= row) drawn.append(tip(from, y, !right));
    else if (entry.last !== null) drawn.append(svg("path", { class: "wait", d: `M${to} ${y} V${end} H${from}` }), tip(from, end, !right));
  } else {
    drawn.append(svg("path", { d: `M${from} ${y} L${to} ${end}` }), tip(to, end, right));
    if (entry.to === "host" || entry.from === "host") {
      const cy = y + (end - y) * ((LANES.link - from) / (to - from));
      drawn.append(svg("circle", { class: "tip", cx: LANES.link, cy, r: 2.5 }));
    }
  }
  const small = row < 20 ? 9 : 11;
  const room = Math.floor((Math.abs(to - from) - 26) / (small * 0.61));
  const text = entry.text.length > room ? `${entry.text.slice(0, room - 1)}…` : entry.text;
  const middle = (from + to) / 2;
  texts.push(svg("text", { class: `what ${entry.group}`, x: middle, y: y - row / 7, "text-anchor": "middle", style: `font-size:${small}px` }, text));
  const size = `font-size:${small}px`;
  if (before !== entry.first) {
    drawn.append(svg("text", { x: 62, y: y + 3, "text-anchor": "end", style: size }, String(entry.first)));
    if (before !== undefined) drawn.append(svg("text", { class: "faint", x: 68, y: y + 3, style: size }, `+${entry.first - before}`));
    drawn.append(svg("text", { class: "faint", x: 190, y: y + 3, "text-anchor": "end", style: size }, `${entry.first * record.period_ns} ns`));
  }
  drawn.addEventListener("click", () => choose(entry, drawn));
  drawn.addEventListener("focus", () => choose(entry, drawn));
  return drawn;
}

function drawing(rows) {
  const row = Number(get("zoom").value);
  const bottom = TOP + row * rows.length + 12;
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${bottom + 6}`, role: "group", "aria-label": "Ladder diagram" });
  picture.append(svg("text", { class: "head", x: 62, y: 18, "text-anchor": "end" }, "clock"));
  for (const [lane, x] of Object.entries(LANES)) {
    picture.append(svg("text", { class: "head", x, y: 18, "text-anchor": "middle" }, TITLES[lane]));
    picture.append(svg("line", { class: "lane", x1: x, y1: 26, x2: x, y2: bottom }));
  }
  if (!rows.length) return picture;
  const at = heights(rows, row);
  picture.append(...levels(rows, at, bottom));
  const texts = []; // above all lines
  rows.forEach((entry, n) => picture.append(line(entry, TOP + row * n + row / 2, row, at, rows[n - 1]?.first, texts)));
  picture.append(...texts);
  return picture;
}

function listing(rows) {
  const table = document.createElement("table");
  const cells = (kind, values) => values.map((value) => Object.assign(document.createElement(kind), { textContent: value }));
  const head = table.createTHead().insertRow();
  head.append(...cells("th", ["clock", "ns", "clocks", "from", "to", "what"]));
  const body = table.createTBody();
  for (const e of rows) {
    const values = [e.first, e.first * record.period_ns, e.end - e.first, TITLES[e.from], TITLES[e.to], e.text];
    body.insertRow().append(...cells("td", values));
  }
  return table;
}

function choose(entry, drawn) {
  for (const other of document.querySelectorAll(".entry.chosen")) other.classList.remove("chosen");
  drawn.classList.add("chosen");
  const what = Object.assign(document.createElement("p"), { className: "mono", textContent: entry.text });
  const list = document.createElement("dl");
  for (const name of ["kind", ...(record.columns[entry.kind] ?? [])]) {
    const value = entry[name];
    if (value === "" || value === undefined) continue;
    const number = ["address", "data"].includes(name) && typeof value === "number" ? hex(value, 8) : String(value);
    const pair = document.createElement("div");
    pair.append(Object.assign(document.createElement("dt"), { textContent: name }), Object.assign(document.createElement("dd"), { className: "mono", textContent: number }));
    list.append(pair);
  }
  get("details").replaceChildren(what, list);
}

// -- pages, filters, begin

function show() {
  const pages = Math.max(1, Math.ceil(chosen.length / PAGE));
  page = Math.max(0, Math.min(page, pages - 1));
  const rows = chosen.slice(page * PAGE, (page + 1) * PAGE);
  get("earlier").disabled = page === 0;
  get("later").disabled = page === pages - 1;
  const clocks = rows.length ? `, clocks ${rows[0].first} to ${rows.at(-1).end}` : "";
  get("place").value = `page ${page + 1} of ${pages}; ${chosen.length} of ${entries.length} entries${clocks}`;
  get("drawing").replaceChildren(get("plain").checked ? listing(rows) : drawing(rows));
}

function select() {
  const groups = new Set(Array.from(document.querySelectorAll("[name=kind]:checked"), (box) => box.value).concat("reset"));
  const part = get("part").value.trim().toLowerCase();
  chosen = entries.filter((e) => groups.has(e.group) && (e.text.toLowerCase().includes(part) || e.kind.includes(part)));
  page = 0;
  show();
}

function turn(by) {
  page += by;
  show();
  get("tools").scrollIntoView();
}

function jump() {
  const clock = Number(get("clock").value);
  const index = chosen.findIndex((e) => e.end >= clock);
  page = Math.floor((index < 0 ? chosen.length - 1 : index) / PAGE);
  show();
  const drawn = document.querySelectorAll("#drawing .entry")[index - page * PAGE];
  drawn?.scrollIntoView({ block: "center" });
  if (drawn) choose(chosen[index], drawn);
}

globalThis.epbellRecord = (given) => {
  record = given;
  entries = prepared();
  get("view").hidden = false;
  select();
};

function add(parent, name, properties) {
  parent.append(Object.assign(document.createElement(name), properties));
}

function open() {
  const key = decodeURIComponent(location.hash.slice(1));
  const run = Object.hasOwn(known.runs, key) ? known.runs[key] : undefined;
  const [folder, name] = key.split("/");
  get("view").hidden = true;
  get("trouble").replaceChildren();
  get("name").textContent = run ? name : "Ladder";
  get("about").textContent = run ? `${folder}: ${run.verdict}. ` : "No scenario of this report is called so: choose one among all scenarios.";
  document.title = `epbell: ${name || "ladder"}`;
  if (!run) return;
  for (const file of ["waves", "log"]) if (run[file]) add(get("about"), "a", { href: encodeURI(run[file]), textContent: `${file} ` });
  if (run.reason) {
    add(get("trouble"), "pre", { textContent: run.reason, className: run.verdict });
    add(get("trouble"), "p", { textContent: `Replay: ${run.replay}`, className: "mono" });
  }
  if (!run.record) return add(get("trouble"), "p", { textContent: "There is no record of it: it did not come to its begin, or its simulator died, or records were not wanted (--no-record)." });
  document.body.append(Object.assign(document.createElement("script"), {
    src: encodeURI(run.record), onerror: () => add(get("trouble"), "p", { textContent: `${run.record} cannot be read` }),
  }));
}

get("earlier").addEventListener("click", () => turn(-1));
get("later").addEventListener("click", () => turn(1));
get("clock").addEventListener("change", jump);
get("zoom").addEventListener("input", show);
get("plain").addEventListener("change", show);
get("part").addEventListener("input", select);
for (const box of document.querySelectorAll("[name=kind]")) box.addEventListener("change", select);
addEventListener("hashchange", open);
open();
