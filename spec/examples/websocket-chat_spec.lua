-- SPDX-License-Identifier: MIT
-- websocket-chat_spec.lua - examples/websocket-chat.lua as its users meet it.

local cjson = require "cjson"
local curl = require "support.curl"
local example = require "support.example"
local http = require "moonpark.http"
local process = require "support.process"

describe("examples/websocket-chat.lua", function()
  local chat
  before_each(function() chat = example.start("websocket-chat.lua") end)
  after_each(process.stop_all)

  local function enter(room, name, after)
    local address = ("ws://%s/chat?room=%s&name=%s&after=%d"):format(chat.address, room, name, after or 0)
    return assert(http.websocket(address, { compress = true }))
  end

  local function hear(ws) return cjson.decode((assert(ws:receive(20)))) end

  -- The next message of that kind.
  local function await(ws, what)
    while true do
      local message = hear(ws)
      if message.what == what then return message end
    end
  end

  local function say(ws, text) assert(ws:send(cjson.encode { text = text })) end

  it("gives all in a room what anybody says, and who is there", function()
    local ann, eve = enter("lobby", "ann"), enter("attic", "eve")
    assert.same({ "ann" }, await(ann, "people").names)
    local bob = enter("lobby", "bob")
    assert.equal("bob", await(ann, "came").name)
    assert.same({ "ann", "bob" }, await(ann, "people").names)
    say(bob, "hello, ann")
    say(eve, "is anybody here?")
    for _, ws in ipairs { ann, bob } do
      local message = await(ws, "said")
      assert.same({ "bob", "hello, ann" }, { message.name, message.text })
      assert.is_number(message.time)
    end
    assert.equal("is anybody here?", await(eve, "said").text)
    assert.is_true(bob:close())
    assert.equal("bob", await(ann, "left").name)
    assert.same({ "ann" }, await(ann, "people").names)
    ann:close()
    eve:close()
    chat:stop()
  end)

  it("tells those who come what was said, and those who come back what they have missed", function()
    local ann = enter("lobby", "ann")
    for i = 1, 105 do say(ann, "message " .. i) end
    local ids = {}
    for i = 1, 105 do
      local message = await(ann, "said")
      assert.equal("message " .. i, message.text)
      ids[i] = message.id
    end
    local bob = enter("lobby", "bob")
    for i = 6, 105 do assert.equal("message " .. i, await(bob, "said").text) end
    bob:close()
    bob = enter("lobby", "bob", ids[103])
    assert.equal(ids[104], await(bob, "said").id)
    assert.equal(ids[105], await(bob, "said").id)
    bob:close()
    ann:close()
    chat:stop()
  end)

  it("begins a room again with ids that are larger than those of before", function()
    local ann = enter("lobby", "ann")
    say(ann, "one")
    local before = await(ann, "said").id
    assert.is_true(ann:close())
    ann = enter("lobby", "ann", before)
    say(ann, "two")
    local message = await(ann, "said")
    assert.equal("two", message.text)
    assert.is_true(message.id > before)
    ann:close()
    chat:stop()
  end)

  it("lets a name be used once in a room, and refuses what is no message", function()
    local ann, second = enter("lobby", "ann"), enter("lobby", "ann")
    assert.same({ nil, "eof" }, { second:receive(20) })
    assert.same({ 4001, "somebody has that name" }, { second:status() })
    await(ann, "people")
    for _, wrong in ipairs { "no JSON", "{}", '{"text":""}', "[]", '{"text":5}' } do
      assert(ann:send(wrong))
      assert.equal("that is no message", hear(ann).why)
    end
    assert(ann:send_binary '{"text":"x"}')
    assert.equal("that is no message", hear(ann).why)
    assert.same({ nil, "response status 400" }, { http.websocket("ws://" .. chat.address .. "/chat?room=x") })
    ann:close()
    chat:stop()
  end)

  it("has a page, and refuses pages of other sites", function()
    local page = curl(chat, "/")
    assert.matches("<title>chat</title>", page.out, 1, true)
    local address = ("ws://%s/chat?room=a&name=b"):format(chat.address)
    assert.same({ nil, "response status 403" }, { http.websocket(address, { origin = "http://evil.example" }) })
    local ws = assert(http.websocket(address, { origin = "http://" .. chat.address }))
    ws:close()
    chat:stop()
  end)

  it("says goodbye when it is stopped", function()
    local ann = enter("lobby", "ann")
    await(ann, "people")
    chat:stop()
    assert.same({ nil, "eof" }, { ann:receive(20) })
    assert.equal(1001, (ann:status()))
  end)
end)
