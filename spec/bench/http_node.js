// SPDX-License-Identifier: MIT
// The HTTP server in Node's http, with the routes of http_moonpark.lua.
//
// usage: node http_node.js; prints "listening PORT" on stdout.
'use strict'
const http = require('http')

function text (response, body) {
  response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': Buffer.byteLength(body) })
  response.end(body)
}

const server = http.createServer((request, response) => {
  if (request.url === '/hello') return text(response, 'Hello, World!')
  if (request.url === '/json') {
    const body = JSON.stringify({ message: 'Hello, World!' })
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
    return response.end(body)
  }
  const pieces = []
  request.on('data', piece => pieces.push(piece))
  request.on('end', () => text(response, Buffer.concat(pieces)))
})
server.keepAliveTimeout = 3600000
server.listen(0, '127.0.0.1', () => console.log('listening ' + server.address().port))
