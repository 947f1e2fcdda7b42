// Hands on whatever comes in a stream of server-sent events, for good. While the server has none
// left, what is at `path` is asked for every now and then; other refusals end it.
async function follow(path, each, refused) {
  for (let round = 0; ; round++) {
    const stop = new AbortController();
    let silence;
    const listen = () => { clearTimeout(silence); silence = setTimeout(() => stop.abort(), 40000); };
    try {
      listen();
      const response = await send(path(), { Accept: "text/event-stream" }, { signal: stop.signal });
      if (!response.ok && !isLost(response.status)) return refused?.();
      const answer = response.status === 503 && await attempt("GET", path());
      if (answer.status === 200) each(answer.body);
      const reader = response.ok && response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = "", piece; reader && !(piece = await reader.read()).done;) {
        listen();
        const blocks = (text + piece.value).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) {
          const data = /^data:(.*)/m.exec(block);
          if (data) each(JSON.parse(data[1]));
        }
        round = 0;
        put("lost", "");
      }
    } catch {
      put("lost", t("lost"));
    }
    clearTimeout(silence);
    await sleep(Math.min(5 + 2 ** round, 30));
  }
}
