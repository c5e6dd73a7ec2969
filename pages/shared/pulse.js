// Asks the server, from time to time, whether there is anything new: the next time once the last one was answered, and
// never while nobody sees the page.

const UNANSWERED = 10_000; // milliseconds: then the question was lost

export default function ({ data, parentElement, setTriggerValue }) {
  clearTimeout(parentElement.due);
  const ask = () => {
    document.removeEventListener("visibilitychange", parentElement.shown);
    if (document.visibilityState === "hidden") {
      document.addEventListener("visibilitychange", (parentElement.shown = ask));
      return;
    }
    parentElement.due = setTimeout(ask, UNANSWERED);
    setTriggerValue("look", data.number);
  };
  document.removeEventListener("visibilitychange", parentElement.shown);
  parentElement.due = setTimeout(ask, 1000 * data.seconds);
  return () => {
    clearTimeout(parentElement.due);
    document.removeEventListener("visibilitychange", parentElement.shown);
  };
}
