/**
 * Events as they are committed. One WebSocket for the whole page, shared by whoever subscribes; it comes back by itself
 * and goes on after the last id, so that nothing is lost or shown twice. (A WebSocket and no EventSource, since a browser
 * holds six connections a site at most for those, all tabs together.)
 */

/**
 * @typedef {{id: string, topic: string, message: any}} LiveEvent topic: of the log, or "gap": events were left out
 * @typedef {{topics: string[], on: (event: LiveEvent) => void}} Listener
 */

/** @type {Set<Listener>} */
const listeners = new Set();
/** @type {WebSocket | null} */
let socket = null;
let wanted = "";
let last = "";
/** Whether the stream was away with no id to resume after: what came then is missed. */
let lost = false;
let wait = 500;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let asked;

/**
 * Call `on` with every event of these topics from now on. Gives a function that ends it.
 * @param {string[]} topics of alerts, cases, signals, rankings
 * @param {(event: LiveEvent) => void} on
 * @returns {() => void}
 */
export function subscribe(topics, on) {
  const listener = { topics, on };
  listeners.add(listener);
  soon();
  return () => {
    listeners.delete(listener);
    soon();
  };
}

/** Look at what is wanted once whoever subscribes now has done so. */
function soon() {
  clearTimeout(asked);
  asked = setTimeout(follow, 0);
}

/** The topics that anybody listens to. */
function union() {
  return [...new Set([...listeners].flatMap((each) => each.topics))].sort();
}

/** Connect, or connect anew, where what is wanted is not what runs. */
function follow() {
  const names = union();
  // A topic more begins where the others stand; one fewer is not worth a new connection.
  const covered = names.every((name) => wanted.split(",").includes(name));
  if (names.length && covered && socket) return;
  hangUp();
  if (names.length) connect(names);
  else {
    last = "";
    lost = false;
  }
}

function hangUp() {
  clearTimeout(timer);
  const old = socket;
  socket = null;
  wanted = "";
  old?.close();
}

/** @param {string[]} topics */
function connect(topics) {
  wanted = topics.join(",");
  const mine = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v1/events/ws`);
  socket = mine;
  mine.addEventListener("open", () => mine.send(JSON.stringify({ topics, last })));
  mine.addEventListener("message", (message) => {
    if (mine !== socket) return;
    wait = 500;
    take(JSON.parse(message.data));
  });
  mine.addEventListener("close", (event) => {
    if (mine !== socket) return;
    socket = null;
    // 1008: an id of another time, or a right that is gone. Begin afresh, slowly.
    if (event.code === 1008) {
      if (last) tell({ id: "", topic: "gap", message: { reason: event.reason, missed: {} } });
      last = "";
      wait = 15000;
    }
    lost ||= !last;
    timer = setTimeout(() => listeners.size && connect(union()), wait);
    wait = Math.min(wait * 2, 15000);
  });
}

/** @param {LiveEvent} event */
function take(event) {
  if (event.id) last = event.id;
  if (event.topic !== "begin" && event.topic !== "closed") tell(event);
  if (event.topic !== "begin" || !lost) return;
  lost = false;
  tell({ id: event.id, topic: "gap", message: { reason: "the stream was away", missed: {} } });
}

/** @param {LiveEvent} event */
function tell(event) {
  for (const each of listeners) {
    if (event.topic === "gap" || each.topics.includes(event.topic)) each.on(event);
  }
}
