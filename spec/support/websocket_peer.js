// SPDX-License-Identifier: MIT
// support/websocket_peer.js - Node's `ws` as the other end: `serve` echoes, `ask URL` sends messages and compares.
"use strict";
const WebSocket = require("ws");

const lengths = process.env.LENGTHS.split(" ").map(Number);
const compress = process.argv.includes("compress");
const deflate = compress && { threshold: 0, serverNoContextTakeover: process.argv.includes("fresh") || undefined };

function serve() {
  const server = new WebSocket.Server({ port: 0, host: "127.0.0.1", perMessageDeflate: deflate,
    handleProtocols: (offered) => offered.values().next().value });
  server.on("listening", () => console.log(`listening on 127.0.0.1:${server.address().port}`));
  server.on("connection", (ws) => {
    ws.on("message", (data, binary) => ws.send(data, { binary }));
    ws.on("close", (code, reason) => console.log(`closed ${code} ${reason}`));
  });
}

function ask(url) {
  const ws = new WebSocket(url, ["chat"], { perMessageDeflate: deflate, origin: "http://" + new URL(url).host });
  const queue = [];
  for (const n of lengths) {
    queue.push("grüße ".repeat(n / 6 + 1).slice(0, n));
    queue.push(Buffer.alloc(n, "abcdefghi"));
  }
  let at = 0, pongs = 0;
  const next = () => {
    if (at < queue.length) return ws.send(queue[at]);
    ws.ping("are you there");
  };
  ws.on("open", next);
  ws.on("pong", () => { pongs++; ws.close(3333, "done"); });
  ws.on("message", (data, binary) => {
    const sent = queue[at++];
    if (binary !== (typeof sent !== "string") || !data.equals(Buffer.from(sent))) throw new Error(`message ${at}`);
    next();
  });
  ws.on("close", (code) => console.log(`${at} messages, ${pongs} pong, ${code}, ${ws.protocol}, ${ws.extensions}`));
}

if (process.argv[2] === "serve") serve();
else ask(process.argv[3]);
