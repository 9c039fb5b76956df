// SPDX-License-Identifier: MIT
// The WebSocket server on Node's ws: echoes, or sends to all.
//
// usage: NODE_PATH=... node websocket_node.js [echo|all]; prints "listening PORT" on stdout.

const WebSocket = require('ws')
const server = new WebSocket.Server({ host: '127.0.0.1', port: 0, perMessageDeflate: false })

server.on('listening', () => console.log('listening ' + server.address().port))
server.on('connection', (ws) => {
  ws.on('message', (data, binary) => {
    if (process.argv[2] !== 'all') return ws.send(data, { binary })
    for (const client of server.clients) client.send(data, { binary })
  })
})
