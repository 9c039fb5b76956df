-- SPDX-License-Identifier: MIT
-- wire/refused.lua - what two readers might understand in two ways, and what is too much: refused, never guessed.
--
-- {name, bytes, status}: that answer, and a closed connection. Without a status it is 400. HOST: "Host: a".

local function head(fields, body) return "POST /x HTTP/1.1\r\nHOST\r\n" .. fields .. "\r\n\r\n" .. (body or "") end
local function chunked(body) return head("Transfer-Encoding: chunked", body) end

local list = {
  -- both framings
  { "a length and chunks", head("Content-Length: 3\r\nTransfer-Encoding: chunked", "0\r\n\r\n") },
  { "chunks and a length", head("Transfer-Encoding: chunked\r\nContent-Length: 3", "0\r\n\r\n") },
  { "a length of nothing and chunks", head("Content-Length: 0\r\nTransfer-Encoding: chunked", "0\r\n\r\n") },

  -- lengths
  { "two lengths", head("Content-Length: 3\r\nContent-Length: 4", "abcd") },
  { "the same length twice", head("Content-Length: 3\r\nContent-Length: 3", "abc") },
  { "a list of lengths", head("Content-Length: 3, 3", "abc") },
  { "a list of different lengths", head("Content-Length: 3, 4", "abc") },
  { "a signed length", head("Content-Length: +3", "abc") },
  { "a negative length", head("Content-Length: -1") },
  { "a hexadecimal length", head("Content-Length: 0x3", "abc") },
  { "a length with a fraction", head("Content-Length: 3.0", "abc") },
  { "a length with an exponent", head("Content-Length: 1e1", "0123456789") },
  { "a length with a space in it", head("Content-Length: 1 0", "0123456789") },
  { "an empty length", head("Content-Length:") },
  { "a length in quotes", head('Content-Length: "3"', "abc") },
  { "a length beyond 64 bits", head("Content-Length: 18446744073709551619", "abc") },
  { "a length of very many digits", head("Content-Length: " .. ("9"):rep(400)) },
  { "a length above the limit", head("Content-Length: 999999999999"), 413 },

  -- codings
  { "two codings", head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n") },
  { "two fields of codings", head("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", "0\r\n\r\n") },
  { "chunked twice", head("Transfer-Encoding: chunked, chunked", "0\r\n\r\n") },
  { "chunked before another coding", head("Transfer-Encoding: chunked, identity", "0\r\n\r\n") },
  { "a coding before chunked", head("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), 501 },
  { "a coding alone", head("Transfer-Encoding: gzip") },
  { "identity", head("Transfer-Encoding: identity") },
  { "an empty coding", head("Transfer-Encoding:") },
  { "a coding that is nearly chunked", head("Transfer-Encoding: xchunked", "0\r\n\r\n") },
  { "chunked behind a vertical tab", head("Transfer-Encoding: \11chunked", "0\r\n\r\n") },
  { "chunked in quotes", head('Transfer-Encoding: "chunked"', "0\r\n\r\n") },
  { "a space before the coding's colon", head("Transfer-Encoding : chunked", "0\r\n\r\n") },
  { "a tab before the coding's colon", head("Transfer-Encoding\t: chunked", "0\r\n\r\n") },
  { "a folded coding", head("Transfer-Encoding:\r\n chunked", "0\r\n\r\n") },
  { "a bare CR in front of chunked", head("Transfer-Encoding: \rchunked", "0\r\n\r\n") },
  { "a zero byte in the coding's name", head("Transfer-Encoding\0: chunked", "0\r\n\r\n") },
  { "chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },

  -- line ends and control bytes
  { "bare LFs", "GET / HTTP/1.1\nHost: a\n\n" },
  { "a bare LF behind the first line", "GET / HTTP/1.1\nHost: a\r\n\r\n" },
  { "a bare LF behind a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n" },
  { "a bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n" },
  { "a bare LF in front", "\nGET / HTTP/1.1\r\nHOST\r\n\r\n" },
  { "a bare CR behind the first line", "GET / HTTP/1.1\rHost: a\r\n\r\n" },
  { "a bare CR in a value", "GET / HTTP/1.1\r\nHOST\r\nX: a\rb\r\n\r\n" },
  { "a CR before CR LF", "GET / HTTP/1.1\r\nHOST\r\r\n\r\n" },
  { "a folded field", "GET / HTTP/1.1\r\nHOST\r\nX: a\r\n b\r\n\r\n" },
  { "a first field that is folded", "GET / HTTP/1.1\r\n Host: a\r\n\r\n" },
  { "a zero byte in a value", "GET / HTTP/1.1\r\nHOST\r\nX: a\0b\r\n\r\n" },
  { "a control byte in a value", "GET / HTTP/1.1\r\nHOST\r\nX: a\1b\r\n\r\n" },
  { "DEL in a value", "GET / HTTP/1.1\r\nHOST\r\nX: a\127b\r\n\r\n" },
  { "a zero byte in a name", "GET / HTTP/1.1\r\nHOST\r\nX\0: a\r\n\r\n" },
  { "a byte above 127 in a name", "GET / HTTP/1.1\r\nHOST\r\nX\195\164: a\r\n\r\n" },

  -- fields
  { "a space before a colon", "GET / HTTP/1.1\r\nHOST\r\nX : a\r\n\r\n" },
  { "a space before Host's colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n" },
  { "a field without a name", "GET / HTTP/1.1\r\nHOST\r\n: a\r\n\r\n" },
  { "a field without a colon", "GET / HTTP/1.1\r\nHOST\r\nX\r\n\r\n" },
  { "a bracket in a name", "GET / HTTP/1.1\r\nHOST\r\nX(y): a\r\n\r\n" },

  -- hosts
  { "no Host", "GET / HTTP/1.1\r\n\r\n" },
  { "two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" },
  { "the same Host twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n" },
  { "a list of hosts", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n" },
  { "a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" },
  { "a Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n" },
  { "a Host with a port that is none", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n" },

  -- request lines
  { "no target", "GET HTTP/1.1\r\nHOST\r\n\r\n" },
  { "an empty target", "GET  HTTP/1.1\r\nHOST\r\n\r\n" },
  { "two spaces before the target", "GET  / HTTP/1.1\r\nHOST\r\n\r\n" },
  { "two spaces before the version", "GET /  HTTP/1.1\r\nHOST\r\n\r\n" },
  { "a tab before the target", "GET\t/ HTTP/1.1\r\nHOST\r\n\r\n" },
  { "a space behind the version", "GET / HTTP/1.1 \r\nHOST\r\n\r\n" },
  { "a space in front", " GET / HTTP/1.1\r\nHOST\r\n\r\n" },
  { "a relative target", "GET x HTTP/1.1\r\nHOST\r\n\r\n" },
  { "a fragment", "GET /#x HTTP/1.1\r\nHOST\r\n\r\n" },
  { "a space in the target", "GET /a b HTTP/1.1\r\nHOST\r\n\r\n" },
  { "a zero byte in the target", "GET /\0 HTTP/1.1\r\nHOST\r\n\r\n" },
  { "a byte above 127 in the target", "GET /\195\164 HTTP/1.1\r\nHOST\r\n\r\n" },
  { "an asterisk for GET", "GET * HTTP/1.1\r\nHOST\r\n\r\n" },
  { "a scheme that is none of ours", "GET ftp://a/ HTTP/1.1\r\nHOST\r\n\r\n" },
  { "an absolute target without a host", "GET http:///x HTTP/1.1\r\nHOST\r\n\r\n" },
  { "an absolute target with a user", "GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "a CONNECT without a port", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "a method with a bracket", "G(T / HTTP/1.1\r\nHOST\r\n\r\n" },
  { "a colon behind the method", "GET: / HTTP/1.1\r\nHOST\r\n\r\n" },
  { "HTTP/0.9", "GET /\r\n\r\n" },
  { "a version in small letters", "GET / http/1.1\r\nHOST\r\n\r\n" },
  { "a version without its minor number", "GET / HTTP/1\r\nHOST\r\n\r\n" },
  { "a version of two digits", "GET / HTTP/1.10\r\nHOST\r\n\r\n" },
  { "HTTP/2.0", "GET / HTTP/2.0\r\nHOST\r\n\r\n", 505 },
  { "HTTP/0.1", "GET / HTTP/0.1\r\nHOST\r\n\r\n", 505 },
  { "TLS on a plain port", "\22\3\1\2\0\1\0\1\252\3\3abc\r\n\r\n" },
  { "an expectation that is unknown", head("Expect: 200-ok\r\nContent-Length: 1"), 417 },
  { "more than a hundred fields", head(("X: y\r\n"):rep(100) .. "X: y"), 431 },
  { "a field that is too long", head("X: " .. ("y"):rep(20000)), 431 },
  { "a target that is too long", "GET /" .. ("y"):rep(20000) .. " HTTP/1.1\r\nHOST\r\n\r\n", 431 },

  -- chunks; the handler reads them, and finds out
  { "a size that is none", chunked("g\r\n") },
  { "an empty size", chunked("\r\nabc") },
  { "a signed size", chunked("+3\r\nabc\r\n0\r\n\r\n") },
  { "a negative size", chunked("-1\r\nabc\r\n0\r\n\r\n") },
  { "a size with 0x in front", chunked("0x3\r\nabc\r\n0\r\n\r\n") },
  { "a space in front of a size", chunked(" 3\r\nabc\r\n0\r\n\r\n") },
  { "a size beyond 64 bits", chunked("10000000000000003\r\nabc\r\n0\r\n\r\n") },
  { "a size of very many digits", chunked(("0"):rep(40) .. "3\r\nabc\r\n0\r\n\r\n") },
  { "a bare LF behind a size", chunked("3\nabc\r\n0\r\n\r\n") },
  { "a bare CR behind a size", chunked("3\rabc\r\n0\r\n\r\n") },
  { "a bare LF in an extension", chunked("3;a\nb\r\nabc\r\n0\r\n\r\n") },
  { "a control byte in an extension", chunked("3;\1\r\nabc\r\n0\r\n\r\n") },
  { "an extension that is too long", chunked("3;" .. ("a"):rep(5000) .. "\r\nabc\r\n0\r\n\r\n") },
  { "data longer than its size", chunked("3\r\nabcd\r\n0\r\n\r\n") },
  { "data that ends with a bare LF", chunked("3\r\nabc\n0\r\n\r\n") },
  { "data that ends with a bare CR", chunked("3\r\nabc\rx0\r\n\r\n") },
  { "a length in a trailer", chunked("0\r\nContent-Length: 3\r\n\r\n") },
  { "a coding in a trailer", chunked("0\r\nTransfer-Encoding: chunked\r\n\r\n") },
  { "a folded trailer", chunked("0\r\nX: a\r\n b\r\n\r\n") },
  { "a bare LF at the end of trailers", chunked("0\r\n\n") },
}

for _, case in ipairs(list) do
  case.answers, case.closed = { case[3] or 400 }, true
end
return list
