// SPDX-License-Identifier: MIT
// The HTTP server in Bun.serve, with the routes of http_moonpark.lua.
//
// usage: bun http_bun.js [CERT KEY]; prints "listening PORT" on stdout. With CERT and KEY it speaks TLS.

const text = { headers: { 'Content-Type': 'text/plain; charset=utf-8' } }

function user (request) {
  return Response.json({
    id: request.params.id,
    page: new URL(request.url).searchParams.get('page'),
    language: request.headers.get('Accept-Language'),
    session: request.cookies.get('session'),
    scores: [3, 14, 159]
  })
}

const [cert, key] = process.argv.slice(2)

const server = Bun.serve({
  tls: cert && { cert: Bun.file(cert), key: Bun.file(key) },
  hostname: '127.0.0.1',
  port: 0,
  idleTimeout: 255,
  development: false,
  routes: {
    '/hello': () => new Response('Hello, World!', text),
    '/hello/:name': request => new Response('Hello, ' + request.params.name + '!', text),
    '/json': () => Response.json({ message: 'Hello, World!' }),
    '/users/:id': user,
    '/form': { POST: async request => Response.json(Object.fromEntries(new URLSearchParams(await request.text()))) },
    '/echo': { POST: async request => new Response(await request.bytes(), text) }
  }
})
console.log('listening ' + server.port)
