"use strict";
// The site of a matrix. What the matrix says is only ever set as text, never as HTML.
const matrixSite = (() => {
  const VERDICTS = { v: ["✓", "verified"], c: ["✓", "compatible"], i: ["✗", "incompatible"], u: ["?", "unverified"] };
  const MAX_HITS = 200;
  const tables = new Map();
  const waiting = new Map();
  let data = null;

  // Elements: make("a", {href: "#/"}, "text", anotherElement, …)
  function make(name, attributes, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }
  const link = (parts, text) => make("a", { href: address(parts) }, text);
  const address = (parts) => "#/" + parts.map(encodeURIComponent).join("/");
  const list = (items) => make("ul", { class: "plain" }, ...items.map((item) => make("li", {}, item)));
  // Releases are short, so several stand beside each other.
  const releaseList = (items) => make("ul", { class: "plain releases" }, ...items.map((item) => make("li", {}, item)));
  const section = (title, ...content) => [make("h2", {}, title), ...content];
  const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
  const publicPart = (version) => version.split("+")[0];

  function facts(pairs) {
    const entries = pairs.filter(([, value]) => value !== "" && value !== null);
    return make("dl", {}, ...entries.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  }
  const words = (mapping) => Object.entries(mapping).map(([name, value]) => `${name} ${value}`).join(", ");

  // The verdicts on one torch are in a file of their own, which is loaded when it is needed.
  function table(torch) {
    if (tables.has(torch)) return Promise.resolve(tables.get(torch));
    return new Promise((resolve, reject) => {
      waiting.set(torch, [...(waiting.get(torch) || []), resolve]);
      const script = make("script", { src: `data/torch-${encodeURIComponent(torch)}.js` });
      script.onerror = () => reject(new Error(`the file ${script.getAttribute("src")} is missing`));
      document.head.append(script);
    });
  }
  function addTorch(entry) {
    tables.set(entry.torch, entry);
    for (const resolve of waiting.get(entry.torch) || []) resolve(entry);
    waiting.delete(entry.torch);
  }

  const cellsOf = (torch, transformers, peft) => data.cells.filter((cell) =>
    publicPart(cell.torch) === torch && cell.transformers === transformers && cell.peft === peft);

  function mark(letter, text) {
    return make("span", { class: letter }, `${VERDICTS[letter][0]} ${text || VERDICTS[letter][1]}`);
  }

  // Neighbors that behave alike share one row or column. Measured and inferred successes look alike here.
  const kind = (letter) => (letter === "v" ? "c" : letter);
  function runs(names, signature) {
    const groups = [];
    names.forEach((name, index) => {
      const last = groups[groups.length - 1];
      const text = signature(index);
      if (last && last.text === text) last.indexes.push(index);
      else groups.push({ text, indexes: [index] });
    });
    return groups;
  }
  function rangeName(names, indexes) {
    const newest = names[indexes[0]], oldest = names[indexes[indexes.length - 1]];
    return newest === oldest ? newest : `${oldest} to ${newest}`;
  }

  // letter(row, column) and parts(row, column) describe one verdict; the result is a grouped table of links.
  function grid(caption, rows, columns, letter, parts) {
    const columnRuns = runs(columns, (column) => rows.map((_, row) => kind(letter(row, column))).join(""));
    const rowRuns = runs(rows, (row) => columnRuns.map((run) => kind(letter(row, run.indexes[0]))).join(""));
    const head = make("tr", {}, make("td", {}),
      ...columnRuns.map((run) => make("th", { scope: "col" }, rangeName(columns, run.indexes))));
    const body = rowRuns.map((rowRun) => make("tr", {},
      make("th", { scope: "row" }, rangeName(rows, rowRun.indexes)),
      ...columnRuns.map((run) => gridCell(rowRun.indexes, run.indexes, letter, parts,
        `${rangeName(rows, rowRun.indexes)} with ${rangeName(columns, run.indexes)}`))));
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
      make("table", {}, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...body)));
  }
  function gridCell(rows, columns, letter, parts, name) {
    const pairs = rows.flatMap((row) => columns.map((column) => [row, column]));
    const measured = pairs.filter(([row, column]) => ["v", "i"].includes(letter(row, column)) &&
      cellsOf(...parts(row, column)).length);
    const [row, column] = measured[0] || pairs[0];
    const letterHere = letter(row, column);
    const text = `${VERDICTS[letterHere][0]}${measured.length || ""}`;
    const label = `${name}: ${VERDICTS[letterHere][1]}, ${measured.length} measured`;
    return make("td", {}, make("a",
      { href: address(["verdict", ...parts(row, column)]), class: letterHere, "aria-label": label }, text));
  }
  const LEGEND = "✓ trains, ✗ fails, ? unknown. A number counts the measured combinations; without one the verdict is inferred.";

  async function torchPage(torch) {
    const entry = await table(torch);
    return [make("h1", {}, `torch ${torch}`), make("p", {}, LEGEND),
      grid("transformers (rows) with peft (columns)", data.transformers, data.peft,
        (row, column) => entry.verdicts[row][column],
        (row, column) => [torch, data.transformers[row], data.peft[column]])];
  }

  async function packagePage(name, release) {
    const entries = await Promise.all(data.torches.map(table));
    const isPeft = name === "peft";
    const others = isPeft ? data.transformers : data.peft;
    const index = data[name].indexOf(release);
    if (index < 0) throw new Error(`there is no ${name} ${release} in this matrix`);
    const place = (row) => (isPeft ? [row, index] : [index, row]);
    return [make("h1", {}, `${name} ${release}`), make("p", {}, LEGEND),
      grid(`${isPeft ? "transformers" : "peft"} (rows) with torch (columns)`, others, data.torches,
        (row, column) => { const [a, b] = place(row); return entries[column].verdicts[a][b]; },
        (row, column) => { const [a, b] = place(row); return [data.torches[column], data.transformers[a], data.peft[b]]; })];
  }

  function trlPage(release) {
    const cells = data.cells.filter((cell) => cell.beside.trl === release);
    if (!cells.length) throw new Error(`no cell with trl ${release} was measured`);
    return [make("h1", {}, `trl ${release}`), make("p", {}, `${counted(cells.length, "measured cell")} with this release.`),
      list(cells.map(cellLink)), ...section("Constraints and known issues that name trl", list(naming("trl")))];
  }
  const naming = (name) => [
    ...data.constraints.filter((each) => name in each.when).map((each) => link(["constraint", each.id], each.reason)),
    ...data.issues.filter((each) => each.when.some((when) => name in when)).map((each) => link(["issue", each.id], each.title)),
  ];

  // A cell whose packages cannot be imported never got as far as a device.
  const measuredOn = (cell) => (cell.device === "none" ? cell.date : `${cell.date} on ${cell.device}`);

  function cellLink(cell) {
    const trains = cell.trains.includes(data.recipe);
    return make("span", {}, mark(trains ? "v" : "i", trains ? "trains" : "fails"), " ", link(["cell", cell.name, cell.date], cell.name),
      `, measured ${measuredOn(cell)}`);
  }

  async function verdictPage(torch, transformers, peft) {
    const entry = await table(torch);
    const row = data.transformers.indexOf(transformers), column = data.peft.indexOf(peft);
    if (row < 0 || column < 0) throw new Error(`transformers ${transformers} or peft ${peft} is not in this matrix`);
    const letter = entry.verdicts[row][column], reason = entry.reasons[entry.why[row][column]];
    const cells = cellsOf(torch, transformers, peft);
    const words = `torch==${torch} transformers==${transformers} peft==${peft}`;
    return [
      make("h1", {}, `torch ${torch}, transformers ${transformers}, peft ${peft}`),
      make("p", { class: `verdict ${letter}`, id: "verdict" }, `${VERDICTS[letter][0]} ${VERDICTS[letter][1]}`),
      chooser(torch, transformers, peft),
      ...section("Why", list(reason.statements.map((number) => entry.statements[number]))),
      ...(cells.length ? section("Evidence", list(cells.map(cellLink))) : []),
      ...(reason.constraints.length ? section("Constraints", list(reason.constraints.map((id) => link(["constraint", id], id)))) : []),
      ...(reason.issues.length ? section("Known issues", list(reason.issues.map((id) => link(["issue", id], id)))) : []),
      ...section("The same on the command line", make("p", {}, make("code", {}, `vc2doctor matrix explain ${words}`))),
    ];
  }

  function chooser(...chosen) {
    const names = ["torch", "transformers", "peft"];
    const releases = [data.torches, data.transformers, data.peft];
    const selects = names.map((name, index) => make("select", { id: `choose-${name}` },
      ...releases[index].map((release) => make("option", release === chosen[index] ? { selected: "" } : {}, release))));
    const form = make("form", { "aria-label": "Versions" },
      ...names.flatMap((name, index) => [make("label", { for: `choose-${name}` }, name), selects[index]]),
      make("button", {}, "Show the verdict"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      location.hash = address(["verdict", ...selects.map((select) => select.value)]);
    });
    return form;
  }

  function cellPage(name, date) {
    const cell = data.cells.find((each) => each.name === name && (!date || each.date === date));
    if (!cell) throw new Error(`there is no cell ${name}`);
    return [
      make("h1", {}, cell.name),
      facts([["measured", `${measuredOn(cell)}, Python ${cell.python}`],
        ["stack", `torch ${cell.torch}, transformers ${cell.transformers}, peft ${cell.peft}`],
        ["installed beside it", words(cell.beside)], ["trains under", cell.trains.join(", ")],
        ["doors", words(cell.doors)]]),
      ...(Object.keys(cell.fails).length ? section("Fails", list(Object.entries(cell.fails).map(([key, text]) => `${key}: ${text}`))) : []),
      make("p", {}, link(["verdict", publicPart(cell.torch), cell.transformers, cell.peft], "The verdict on these versions")),
    ];
  }

  function constraintPage(id) {
    const constraint = data.constraints.find((each) => each.id === id);
    if (!constraint) throw new Error(`there is no constraint ${id}`);
    const known = (name) => data.cells.some((cell) => cell.name === name) ? link(["cell", name], name) : name;
    return [
      make("h1", {}, constraint.id), make("p", {}, constraint.reason),
      facts([["kind", constraint.kind], ["versions", words(constraint.when)], ["door", constraint.door],
        ["recipes", constraint.recipes.join(", ") || "all"]]),
      ...(constraint.failed.length ? section("Measured failures", list(constraint.failed.map(known))) : []),
      ...(constraint.works.length ? section("Nearest measured successes", list(constraint.works.map(known))) : []),
    ];
  }

  function issuePage(id) {
    const issue = data.issues.find((each) => each.id === id);
    if (!issue) throw new Error(`there is no known issue ${id}`);
    return [
      make("h1", {}, issue.title),
      facts([["id", issue.id], ["severity", issue.severity], ["versions", issue.when.map(words).join("; or ")],
        ["doors", issue.doors.join(", ")]]),
      make("p", {}, issue.explanation),
      ...section("Sources", list(issue.sources.map(outside))),
    ];
  }

  // Only https: a matrix may come from someone else.
  function outside(url) {
    return url.startsWith("https://") ? make("a", { href: url, rel: "noreferrer" }, url) : url;
  }

  function home() {
    const newest = [data.torches[0], data.transformers[0], data.peft[0]];
    const counts = (torch) => data.cells.filter((cell) => publicPart(cell.torch) === torch).length;
    return [make("h1", {}, "Which versions train together"),
      make("p", {}, `Verdicts on torch, transformers and peft, for training under ${data.recipe}.`), chooser(...newest),
      ...section("By torch", releaseList(data.torches.map((torch) =>
        make("span", {}, link(["torch", torch], `torch ${torch}`), `, ${counted(counts(torch), "measured cell")}`))))];
  }

  function packages(name) {
    const releases = name === "trl" ? [...new Set(data.cells.map((cell) => cell.beside.trl).filter(Boolean))] : data[name === "torch" ? "torches" : name];
    const sorted = name === "trl" ? releases.sort((a, b) => b.localeCompare(a, "en", { numeric: true })) : releases;
    return [make("h1", {}, name), releaseList(sorted.map((release) => link([name, release], `${name} ${release}`)))];
  }

  function found(text) {
    const wanted = text.toLowerCase().split(/[\s=,]+/).filter(Boolean);
    const fits = (candidate) => wanted.every((word) => candidate.toLowerCase().includes(word));
    const versions = text.match(/torch[\s=]+([\w.]+).*transformers[\s=]+([\w.]+).*peft[\s=]+([\w.]+)/);
    const hits = [
      ...(versions ? [link(["verdict", ...versions.slice(1)], `The verdict on torch ${versions[1]}, transformers ${versions[2]}, peft ${versions[3]}`)] : []),
      ...["torch", "transformers", "peft"].flatMap((name) => data[name === "torch" ? "torches" : name]
        .filter((release) => fits(`${name} ${release}`)).map((release) => link([name, release], `${name} ${release}`))),
      ...data.issues.filter((each) => fits(`${each.id} ${each.title}`)).map((each) => link(["issue", each.id], each.title)),
      ...data.constraints.filter((each) => fits(`${each.id} ${each.reason}`)).map((each) => link(["constraint", each.id], each.reason)),
      ...data.cells.filter((each) => fits(`${each.name} ${words(each.beside)} ${Object.values(each.fails).join(" ")}`)).map(cellLink),
    ];
    document.getElementById("words").value = text;
    const more = hits.length > MAX_HITS ? `, of which ${MAX_HITS} are shown` : "";
    return [make("h1", {}, `Search: ${text}`), make("p", { role: "status" }, `${counted(hits.length, "result")}${more}`), list(hits.slice(0, MAX_HITS))];
  }

  const PAGES = { torch: torchPage, transformers: (r) => packagePage("transformers", r), peft: (r) => packagePage("peft", r),
    trl: trlPage, verdict: verdictPage, cell: cellPage, constraint: constraintPage, issue: issuePage, search: found, packages };

  async function show() {
    const main = document.getElementById("main");
    // #main is the target of the link that skips the header.
    if (location.hash === "#main") { main.focus(); return; }
    const hash = location.hash;
    let content;
    try {
      const [page, ...parts] = hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
      if (page && !Object.hasOwn(PAGES, page)) throw new Error(`there is no page ${page}`);
      content = await (page ? PAGES[page](...parts) : home());
    } catch (error) {
      content = [make("h1", {}, "Not found"), make("p", {}, `${error.message}.`), make("p", {}, link([], "All releases"))];
    }
    if (hash !== location.hash) return;
    main.replaceChildren(...content);
    document.title = `${main.querySelector("h1").textContent}: vc2doctor matrix`;
    window.scrollTo(0, 0);
  }

  function start(index) {
    data = index;
    const names = ["torch", "transformers", "peft", "trl"];
    document.getElementById("nav").replaceChildren(make("ul", {}, ...names.map((name) => make("li", {}, link(["packages", name], name)))));
    document.getElementById("footer").replaceChildren(make("p", {},
      `vc2doctor ${data.doctor}. Measured up to ${data.measured}, releases known up to ${data.released}, recipe ${data.recipe}.`));
    document.getElementById("search").addEventListener("submit", (event) => {
      event.preventDefault();
      location.hash = address(["search", document.getElementById("words").value.trim()]);
    });
    window.addEventListener("hashchange", show);
    show();
  }

  return { index: start, torch: addTorch };
})();
