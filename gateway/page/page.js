"use strict";

/* Small tools. Text always goes in as text, never as markup. */

const $ = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

function draw(tag, attributes = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

/* `code` in descriptions. */
function prose(text) {
  const parts = (text || "").split("`");
  return parts.map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

const pretty = (value) => JSON.stringify(value, null, 2);

/* Reading the specification. */

let spec = {};

function nameOf(schema) {
  return (schema.$ref || "").split("/").pop();
}

function resolved(schema) {
  return schema.$ref ? spec.components.schemas[nameOf(schema)] : schema;
}

function alternatives(schema) {
  return (schema.anyOf || schema.oneOf || [schema]).filter((one) => one.type !== "null");
}

const isNullable = (schema) => (schema.anyOf || []).some((one) => one.type === "null");

function typeOf(schema) {
  const words = alternatives(schema).map(plainType);
  return [...new Set(words)].join(" or ") + (isNullable(schema) ? " or null" : "");
}

function plainType(schema) {
  const is = resolved(schema);
  if (is.anyOf) return typeOf(is);
  if ("const" in is) return pretty(is.const);
  if (is.enum) return is.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (is.prefixItems) return `[${is.prefixItems.map(typeOf).join(", ")}]`;
  if (is.type === "array") return `list of ${typeOf(is.items || {})}`;
  if (is.type === "object" && is.additionalProperties) return `object, name: ${typeOf(is.additionalProperties)}`;
  return is.format || is.type || "any JSON";
}

function rulesOf(schema) {
  const rules = [];
  for (const one of alternatives(schema).map(resolved)) {
    const { minimum: from, maximum: to, exclusiveMinimum: above } = one;
    if (from !== undefined && to !== undefined) rules.push(`${from} to ${to}`);
    else if (from !== undefined) rules.push(`at least ${from}`);
    if (above !== undefined) rules.push(`above ${above}`);
    if ((one.minItems || one.maxItems) && !one.prefixItems) rules.push(`${one.minItems || 0} to ${one.maxItems} items`);
    if (one.maxLength && !one.pattern) rules.push(`at most ${one.maxLength} characters`);
    if (one.pattern) rules.push(`matches ${one.pattern}`);
  }
  if (schema.default || schema.default === 0 || schema.default === false) rules.push(`default ${JSON.stringify(schema.default)}`);
  const example = (schema.examples || [])[0];
  if (example !== undefined) rules.push(`for example ${JSON.stringify(example)}`);
  return rules.join(" · ");
}

/* The objects inside a field whose own fields are shown below it: it, its items or its alternatives. */
function innerObjects(schema) {
  return alternatives(schema).flatMap((one) => {
    const is = resolved(one);
    if (is.type === "array" && is.items) return innerObjects(is.items);
    if (is.anyOf) return innerObjects(is);
    return is.properties ? [is] : [];
  });
}

const LARGE = 12;

/* Rows for every field of an object, nested ones with their path. Large objects are shown at their own route.
   What an answer always has need not be marked: only in what is sent does "required" say something. */
function rowsOf(schema, isSent, path = "") {
  return innerObjects(schema).flatMap((object) =>
    Object.entries(object.properties).flatMap(([name, field]) => {
      const required = isSent && (object.required || []).includes(name);
      const inner = innerObjects(field);
      const isLarge = inner.some((one) => Object.keys(one.properties).length > LARGE);
      const isList = alternatives(field).some((one) => resolved(one).type === "array");
      const row = fieldRow(path, name, field, required, isLarge ? inner[0].title : "");
      return isLarge ? [row] : [row, ...rowsOf(field, isSent, `${path}${name}${isList ? "[]" : ""}.`)];
    }),
  );
}

function fieldRow(path, name, field, required, seen) {
  const description = field.description || resolved(alternatives(field)[0]).description;
  const type = typeOf(field);
  return make(
    "div",
    { class: "field" },
    make(
      "dt",
      { class: "mono" },
      make("span", { class: "parent" }, path),
      name,
      required ? make("span", { class: "must" }, "required") : null,
      make("span", { class: "type" }, seen ? type.replace("object", seen) : type),
    ),
    make("dd", {}, ...prose(description), make("span", { class: "rule" }, rulesOf(field))),
  );
}

/* One route. */

function routeCard(path, method, operation) {
  const isOpen = Array.isArray(operation.security) && operation.security.length === 0;
  return make(
    "details",
    { class: "card route", id: operation.operationId },
    make(
      "summary",
      {},
      make("span", { class: `method ${method}` }, method.toUpperCase()),
      make("span", { class: "mono" }, path),
      make("span", { class: "about quiet" }, operation.summary || ""),
      isOpen ? make("span", { class: "open" }, "no key") : make("span"),
    ),
    make("div", { class: "inside" }, ...routeParts(operation)),
  );
}

function routeParts(operation) {
  const parts = [make("p", {}, ...prose(operation.description || operation.summary))];
  if (operation.parameters) parts.push(heading("Parameters"), fieldList(operation.parameters.map(parameterRow)));
  const body = operation.requestBody && operation.requestBody.content["application/json"];
  if (body) parts.push(heading("Request body"), fieldList(rowsOf(body.schema, true)), ...exampleBlocks(body));
  return [...parts, ...answerParts(operation.responses)];
}

function answerParts(responses) {
  const content = responses["200"].content || {};
  const body = content["application/json"];
  const parts = [heading("Answer")];
  if (body) parts.push(fieldList(rowsOf(body.schema, false)), ...exampleBlocks(body));
  else parts.push(make("p", {}, make("code", {}, Object.keys(content).join(", "))));
  const errors = Object.entries(responses).filter(([status]) => Number(status) >= 400);
  if (errors.length) parts.push(heading("Errors"), statusList(errors));
  return parts;
}

const heading = (text) => make("h4", {}, text);
const fieldList = (rows) => make("dl", { class: "fields" }, ...rows);

function parameterRow(parameter) {
  const where = parameter.in === "query" ? "?" : "";
  return fieldRow(where, parameter.name, { ...parameter.schema, description: parameter.description }, parameter.required, "");
}

function exampleBlocks(body) {
  return Object.values(body.examples || {}).map((example) =>
    make(
      "details",
      { class: "more" },
      make("summary", {}, `Example: ${example.summary}`),
      make("pre", { tabindex: "0" }, pretty(example.value)),
    ),
  );
}

function statusList(errors) {
  const items = errors.map(([status, response]) =>
    make("li", {}, make("code", {}, status), make("span", {}, response.description)),
  );
  return make("ul", { class: "statuses" }, ...items);
}

/* The whole page. */

function showSpecification() {
  $("version").textContent = `API ${spec.info.version}`;
  $("about").replaceChildren(...prose(spec.info.description));
  const all = Object.entries(spec.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
  );
  for (const tag of spec.tags) {
    const routes = all.filter(({ operation }) => operation.tags.includes(tag.name));
    if (!routes.length) continue;
    const title = make("div", { class: "group" }, make("h2", {}, tag.name), make("p", { class: "quiet" }, tag.description));
    $("routes").append(title, ...routes.map((it) => routeCard(it.path, it.method, it.operation)));
    $("contents").append(...routes.map(contentsLink));
  }
  openNamed();
}

function contentsLink({ path, method, operation }) {
  return make(
    "a",
    { href: `#${operation.operationId}` },
    make("span", { class: `method ${method}` }, method.toUpperCase()),
    make("span", { class: "mono" }, path),
  );
}

function openNamed() {
  const target = $(decodeURIComponent(location.hash.slice(1)) || "predict");
  if (!target || target.tagName !== "DETAILS") return;
  target.open = true;
  if (location.hash) target.scrollIntoView();
}

async function showHealth() {
  const pill = $("health");
  try {
    const { status } = await (await fetch("/api/v1/health")).json();
    pill.textContent = status;
    pill.classList.add(status);
  } catch {
    pill.textContent = "no answer";
    pill.classList.add("down");
  }
}

/* Trying a forecast. */

async function forecast(event) {
  event.preventDefault();
  const button = event.submitter || document.querySelector("#try button");
  button.disabled = true;
  try {
    showAnswer(await ask());
  } catch {
    $("answer").replaceChildren(problem({ message: "The server did not answer.", details: [] }));
  } finally {
    button.disabled = false;
  }
}

async function ask() {
  const headers = { "Content-Type": "application/json" };
  if ($("key").value) headers["X-API-Key"] = $("key").value;
  const body = {
    symbol: $("symbol").value.trim(),
    horizon: Number($("horizon").value),
    confidence_level: Number($("level").value),
  };
  const response = await fetch("/api/v1/predict", { method: "POST", headers, body: JSON.stringify(body) });
  return { seconds: response.headers.get("X-Response-Time"), sent: body, got: await response.json() };
}

function showAnswer({ seconds, sent, got }) {
  const parts = got.error ? [problem(got.error)] : [figures(got), chart(got)];
  const raw = make(
    "details",
    { class: "more" },
    make("summary", {}, `Request and answer${seconds ? `, ${(seconds * 1000).toFixed(1)} ms` : ""}`),
    make("pre", { tabindex: "0" }, curl(sent)),
    make("pre", { tabindex: "0" }, pretty(got)),
  );
  $("answer").replaceChildren(...parts, raw);
}

/* The symbol is the reader's own typing: quotes in it must not end the quoted argument. */
function curl(body) {
  const quoted = JSON.stringify(body).replaceAll("'", "'\\''");
  return (
    `curl -s ${location.origin}/api/v1/predict \\\n` +
    `  -H "X-API-Key: $ML_SERVICE_API_KEY" -H "Content-Type: application/json" \\\n` +
    `  -d '${quoted}'`
  );
}

function problem(error) {
  const items = error.details.map((detail) =>
    make("li", {}, make("code", {}, detail.field), ` ${detail.problem}`),
  );
  return make(
    "div",
    { class: "problem", role: "alert" },
    make("p", {}, make("strong", {}, error.message[0].toUpperCase() + error.message.slice(1))),
    items.length ? make("ul", {}, ...items) : null,
    error.request_id ? make("p", { class: "quiet" }, `request ${error.request_id}`) : null,
  );
}

const percent = (fraction, digits = 1) => `${(100 * fraction).toFixed(digits)}\u00a0%`;
const signed = (fraction) => (fraction > 0 ? "+" : "") + percent(fraction, 2);

function money(value) {
  const digits = value >= 1000 ? 0 : value >= 1 ? 2 : 6;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function figures(got) {
  const { prediction, interval, evidence } = got;
  const currency = got.currency ? ` ${got.currency}` : "";
  const covered = evidence.coverage === null ? "not measured" : percent(evidence.coverage);
  const rows = [
    ["Median at target", money(prediction.price_target), `${got.target_date}${currency}`],
    ["Expected return", signed(prediction.expected_return), `from ${money(got.current_price)} on ${got.as_of}`],
    [`${percent(interval.confidence_level, 0)} interval`, `${money(interval.lower)} – ${money(interval.upper)}`, `measured coverage ${covered}`],
    ["Direction", prediction.direction, `probability up ${percent(prediction.probability_up)}`],
    ["Against random walk", verdict(evidence), evidence.scope],
  ];
  const cells = rows.map(([name, value, note]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, value, make("small", {}, note))),
  );
  return make("dl", { class: "figures" }, ...cells);
}

function verdict(evidence) {
  if (evidence.skill_vs_random_walk === null) return "not measured";
  return `${signed(evidence.skill_vs_random_walk)} ${evidence.beats_random_walk ? "" : "(not significant)"}`.trim();
}

/* The fan: median and interval from today's price to the target. */

const WIDE = { width: 860, height: 320, left: 62, right: 92, top: 14, bottom: 30 };
const NARROW = { width: 360, height: 260, left: 52, right: 70, top: 12, bottom: 28 };

function chart(got) {
  const box = matchMedia("(max-width: 40rem)").matches ? NARROW : WIDE;
  const start = { step: 0, date: got.as_of, median: got.current_price, lower: got.current_price, upper: got.current_price };
  const steps = [start, ...got.path];
  const scale = scaleOf(steps, box);
  const label = `${got.symbol}: median and ${percent(got.interval.confidence_level, 0)} interval over ${got.horizon} bars`;
  const svg = draw("svg", { viewBox: `0 0 ${box.width} ${box.height}`, role: "img", "aria-label": label });
  svg.append(...gridLines(steps, scale, box), ...fan(steps, scale, box), ...endLabels(got, steps, scale, box));
  const tip = make("p", { class: "tip quiet" }, "Move over the chart to read a day.");
  followPointer(svg, tip, steps, scale, box);
  return make("figure", { class: "chart" }, svg, tip, make("figcaption", {}, `${label}. ${remarks(got).join(" ")}`));
}

function remarks(got) {
  const all = [`Dashed: price on ${got.as_of}.`, `Source of the bars: ${got.data.provider}.`];
  if (got.data.stale) all.push("A newer session has closed since.");
  if (got.degraded.length) all.push(`Did not answer: ${got.degraded.join(", ")}.`);
  return [...all, ...got.notes];
}

function scaleOf(steps, box) {
  const low = Math.min(...steps.map((it) => it.lower));
  const high = Math.max(...steps.map((it) => it.upper));
  const margin = (high - low || high * 0.01) * 0.06;
  const [from, to] = [low - margin, high + margin];
  const inner = { width: box.width - box.left - box.right, height: box.height - box.top - box.bottom };
  return {
    from,
    to,
    x: (index) => box.left + (inner.width * index) / (steps.length - 1),
    y: (price) => box.top + inner.height * (1 - (price - from) / (to - from)),
  };
}

function ticks(from, to, wanted) {
  const rough = (to - from) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((it) => it * power).find((it) => it >= rough);
  const all = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) all.push(at);
  return { all, digits: Math.max(0, -Math.floor(Math.log10(step))) };
}

function gridLines(steps, scale, box) {
  const { all, digits } = ticks(scale.from, scale.to, 5);
  const lines = all.flatMap((price) => [
    draw("line", { class: "grid", x1: box.left, x2: box.width - box.right, y1: scale.y(price), y2: scale.y(price) }),
    draw("text", { x: box.left - 8, y: scale.y(price) + 4, "text-anchor": "end" }, price.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })),
  ]);
  const last = steps.length - 1;
  const marks = [...new Set(box === WIDE ? [0, Math.round(last / 3), Math.round((2 * last) / 3), last] : [0, last])];
  const dates = marks.map((index) =>
    draw("text", { x: scale.x(index), y: box.height - 8, "text-anchor": index === 0 ? "start" : index === last ? "end" : "middle" }, steps[index].date),
  );
  return [...lines, ...dates];
}

function fan(steps, scale, box) {
  const points = (key) => steps.map((it, index) => `${scale.x(index).toFixed(1)},${scale.y(it[key]).toFixed(1)}`);
  const today = scale.y(steps[0].median);
  return [
    draw("polygon", { class: "band", points: [...points("upper"), ...points("lower").reverse()].join(" ") }),
    draw("line", { class: "now", x1: box.left, x2: box.width - box.right, y1: today, y2: today }),
    draw("polyline", { class: "median", points: points("median").join(" ") }),
  ];
}

function endLabels(got, steps, scale, box) {
  const last = steps[steps.length - 1];
  const x = box.width - box.right;
  const label = (price, style) => draw("text", { class: style, x: x + 9, y: scale.y(price) + 4 }, money(price));
  const dot = draw("circle", { class: "dot", cx: x, cy: scale.y(last.median), r: 4.5 });
  return [dot, label(last.upper, ""), label(last.median, "strong"), label(last.lower, "")];
}

function followPointer(svg, tip, steps, scale, box) {
  const line = draw("line", { class: "cursor", y1: box.top, y2: box.height - box.bottom, visibility: "hidden" });
  svg.append(line);
  svg.addEventListener("pointermove", (event) => {
    const frame = svg.getBoundingClientRect();
    const across = ((event.clientX - frame.left) / frame.width) * box.width;
    const share = (across - box.left) / (box.width - box.left - box.right);
    const index = Math.round(Math.min(1, Math.max(0, share)) * (steps.length - 1));
    const it = steps[index];
    line.setAttribute("x1", scale.x(index));
    line.setAttribute("x2", scale.x(index));
    line.setAttribute("visibility", "visible");
    tip.textContent = index === 0 ? `${it.date}: ${money(it.median)}, the last close` : `${it.date}: median ${money(it.median)}, from ${money(it.lower)} to ${money(it.upper)}`;
  });
}

/* Start. */

async function start() {
  $("try").addEventListener("submit", forecast);
  addEventListener("hashchange", openNamed);
  showHealth();
  spec = await (await fetch("/docs.json")).json();
  showSpecification();
}

start();
