// Asks the server, from time to time, whether there is anything new: the next time once the last one was answered, later
// where drawing the charts takes long, and never while nobody sees the page.

const UNANSWERED = 10_000; // milliseconds: then the question was lost
const DRAWING_SHARE = 1 / 13; // of the time at most is spent in plotly; what else comes with a picture takes twice that
const BESIDE_DRAWING = 15; // milliseconds, as if drawn, of what is the same for every picture
const MOST_PAUSE = 2_000; // milliseconds

export default function ({ data, parentElement, setTriggerValue }) {
  const answered = performance.now();
  let due;
  const ask = () => {
    stop();
    if (document.visibilityState === "hidden") {
      document.addEventListener("visibilitychange", ask);
      return;
    }
    const drawn = (window.soupDrawing ?? 0) - parentElement.drawing;
    const pause = drawn ? Math.min(MOST_PAUSE, (drawn + BESIDE_DRAWING) / DRAWING_SHARE) : 0;
    const early = answered + pause - performance.now();
    if (early > 0) {
      due = setTimeout(ask, early);
      return;
    }
    due = setTimeout(ask, UNANSWERED);
    parentElement.drawing = window.soupDrawing ?? 0;
    setTriggerValue("look", data.number);
  };
  // Each drawing ends its own questions alone: Streamlit ends an earlier one after a later one has begun, where the script
  // came late.
  const stop = () => {
    clearTimeout(due);
    document.removeEventListener("visibilitychange", ask);
  };
  parentElement.stop?.();
  parentElement.stop = stop;
  parentElement.drawing ??= window.soupDrawing ?? 0; // when it asked last
  due = setTimeout(ask, 1000 * data.seconds);
  return stop;
}
