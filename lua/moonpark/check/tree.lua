-- SPDX-License-Identifier: MIT
-- tree.lua - a script as a tree, with its scopes: each name knows the local that it means. LuaJIT's own parser has
-- accepted the script before it comes here, so nothing is refused.
--
-- A node is a table: its tag, where it is, and its parts in the array. Operators are not ranked: "op" holds all of
-- their operands.
--
--   tag          parts                     fields
--   block        statements
--   local        values                    vars
--   assign       targets, then values      targets: how many there are
--   do, call statements are their only part; while: condition, body; repeat: body, condition; if: conditions and blocks
--   for          expressions, body         vars, is_in
--   return       values
--   break, goto, label
--   function     body                      vars, is_method, name
--   name                                   name, var (nil: a global)
--   index        object[, key]             key (if it is a constant string), by_dot
--   call         callee, arguments
--   method       object, arguments         name
--   table        values                    keys: [i] = string | false
--   op, paren    operands
--   string, number, nil, true, false, vararg           value

local M = {}

---@class moonpark.check.var a local
---@field name string
---@field init? moonpark.check.node the expression that its value comes from, by `nth` of its results
---@field nth? integer
---@field assigned boolean it gets another value later
---@field uses integer

---@class moonpark.check.node
---@field tag string
---@field line integer
---@field column integer

local Reader = {}
Reader.__index = Reader

local function is(token, text) return token ~= nil and token.text == text and token.kind ~= "string" end

function Reader:peek(ahead) return self.tokens[self.at + (ahead or 0)] end

function Reader:at_word(text) return is(self.tokens[self.at], text) end

function Reader:take()
  self.at = self.at + 1
  return self.tokens[self.at - 1]
end

function Reader:accept(text)
  if not self:at_word(text) then return false end
  self.at = self.at + 1
  return true
end

function Reader:expect(text)
  if not self:accept(text) then error { unread = self.at } end
end

function Reader:node(tag, token)
  token = token or self.tokens[self.at] or self.tokens[#self.tokens]
  return { tag = tag, line = token.line, column = token.column }
end

---------------------------------------------------------------------------------------------------
-- scopes

function Reader:open() self.scope = { names = {}, outer = self.scope } end
function Reader:close() self.scope = self.scope.outer end

function Reader:declare(name, init, nth)
  local var = { name = name, init = init, nth = nth, assigned = false, uses = 0 }
  self.scope.names[name] = var
  return var
end

function Reader:find(name)
  local scope = self.scope
  while scope do
    if scope.names[name] then return scope.names[name] end
    scope = scope.outer
  end
end

---------------------------------------------------------------------------------------------------
-- expressions

local unary = { ["not"] = true, ["-"] = true, ["#"] = true }
local binary = {}
for _, op in ipairs { "+", "-", "*", "/", "%", "^", "..", "<", "<=", ">", ">=", "==", "~=", "and", "or" } do
  binary[op] = true
end
local constants = { ["nil"] = true, ["true"] = true, ["false"] = true, ["..."] = "vararg" }

function Reader:name_node(token)
  local node = self:node("name", token)
  node.name, node.var = token.text, self:find(token.text)
  if node.var then node.var.uses = node.var.uses + 1 end
  return node
end

function Reader:table_node()
  local node = self:node "table"
  node.keys = {}
  self:expect "{"
  while not self:at_word "}" do
    local key = false
    if self:peek().kind == "name" and is(self:peek(1), "=") then
      key = self:take()
      self:take()
    elseif self:accept "[" then
      local inner = self:expression()
      self:expect "]"
      self:expect "="
      if inner.tag == "string" then key = { text = inner.value, line = inner.line, column = inner.column } end
    end
    local value = self:expression()
    node[#node + 1], node.keys[#node.keys + 1] = value, key
    if not (self:accept "," or self:accept ";") then break end
  end
  self:expect "}"
  return node
end

function Reader:function_node(token, is_method)
  local node = self:node("function", token)
  node.vars, node.is_method = {}, is_method or false
  self:open()
  if is_method then node.vars[1] = self:declare "self" end
  self:expect "("
  while not self:at_word ")" do
    local name = self:take()
    if name.kind == "name" then table.insert(node.vars, self:declare(name.text)) end
    self:accept ","
  end
  self:expect ")"
  node[1] = self:block()
  self:expect "end"
  self:close()
  return node
end

function Reader:arguments(node)
  local token = self:peek()
  if token.kind == "string" then
    node[#node + 1] = self:simple()
  elseif is(token, "{") then
    node[#node + 1] = self:table_node()
  else
    self:expect "("
    while not self:at_word ")" do
      node[#node + 1] = self:expression()
      self:accept ","
    end
    self:expect ")"
  end
  return node
end

-- A name or a bracketed expression, with what follows it.
function Reader:suffixed()
  local token = self:peek()
  local node
  if self:accept "(" then
    node = self:node("paren", token)
    node[1] = self:expression()
    self:expect ")"
  else
    node = self:name_node(self:take())
  end
  while true do
    local after = self:peek()
    local inner
    if not after then return node end
    if after.kind ~= "string" and (after.text == "." or after.text == "[") then
      self:take()
      inner = self:node("index", self:peek())
      inner[1] = node
      if after.text == "." then
        inner.key, inner.by_dot = self:take().text, true
      else
        inner[2] = self:expression()
        inner.key = inner[2].tag == "string" and inner[2].value or nil
        self:expect "]"
      end
    elseif is(after, ":") then
      self:take()
      inner = self:node("method", self:peek())
      inner.name, inner[1] = self:take().text, node
      self:arguments(inner)
    elseif after.kind == "string" or is(after, "(") or is(after, "{") then
      inner = self:node("call", node)
      inner[1] = node
      self:arguments(inner)
    else
      return node
    end
    node = inner
  end
end

function Reader:simple()
  local token = self:peek()
  if token.kind == "string" or token.kind == "number" then
    local node = self:node(token.kind)
    node.value = self:take().text
    return node
  end
  local constant = constants[token.text]
  if constant then
    self:take()
    return self:node(constant == true and token.text or constant, token)
  end
  if is(token, "function") then
    self:take()
    return self:function_node(token)
  end
  if is(token, "{") then return self:table_node() end
  return self:suffixed()
end

function Reader:expression()
  local token = self:peek()
  local operands, operator = {}, nil
  repeat
    while self:peek().kind ~= "string" and unary[self:peek().text] do operator = self:take().text end
    operands[#operands + 1] = self:simple()
    local after = self:peek()
    local more = after and after.kind ~= "string" and binary[after.text]
    if more then operator = self:take().text end
  until not more
  if not operator then return operands[1] end
  local node = self:node("op", token)
  for i, operand in ipairs(operands) do node[i] = operand end
  node.operator = operator
  return node
end

function Reader:expressions(node)
  repeat node[#node + 1] = self:expression() until not self:accept ","
  return node
end

---------------------------------------------------------------------------------------------------
-- statements

local statements = {}

local function names_of(self)
  local names = {}
  repeat names[#names + 1] = self:take().text until not self:accept ","
  return names
end

-- The n-th of the names gets the n-th value, or that result of the last one if it is a call.
local function source(node, n)
  local init = node[math.min(n, #node)]
  return init, init and n - math.min(n, #node) + 1 or nil
end

statements["local"] = function(self, node)
  if self:accept "function" then
    local name = self:take()
    local var = self:declare(name.text, nil, 1)
    var.init = self:function_node(name)
    node[1], node.vars = var.init, { var }
    return node
  end
  local names = names_of(self)
  if self:accept "=" then self:expressions(node) end
  node.vars = {}
  for n, name in ipairs(names) do table.insert(node.vars, self:declare(name, source(node, n))) end
  return node
end

statements["function"] = function(self, node)
  node.tag, node.targets = "assign", 1
  local target, is_method = self:name_node(self:take()), false
  while self:at_word "." or self:at_word ":" do
    is_method = self:take().text == ":"
    local inner = self:node "index"
    inner[1], inner.key, inner.by_dot = target, self:take().text, true
    target = inner
  end
  if target.var then target.var.assigned = true end
  node[1], node[2] = target, self:function_node(self:peek(), is_method)
  return node
end

statements["do"] = function(self, node)
  node[1] = self:scoped_block()
  self:expect "end"
  return node
end

statements["while"] = function(self, node)
  node[1] = self:expression()
  self:expect "do"
  node[2] = self:scoped_block()
  self:expect "end"
  return node
end

statements["repeat"] = function(self, node)
  self:open()
  node[1] = self:block()
  self:expect "until"
  node[2] = self:expression()
  self:close()
  return node
end

statements["if"] = function(self, node)
  node[1] = self:expression()
  self:expect "then"
  node[2] = self:scoped_block()
  while self:accept "elseif" do
    node[#node + 1] = self:expression()
    self:expect "then"
    node[#node + 1] = self:scoped_block()
  end
  if self:accept "else" then node[#node + 1] = self:scoped_block() end
  self:expect "end"
  return node
end

statements["for"] = function(self, node)
  local names = names_of(self)
  node.is_in = self:at_word "in"
  self:take()
  self:expressions(node)
  self:expect "do"
  self:open()
  node.vars = {}
  for _, name in ipairs(names) do table.insert(node.vars, self:declare(name)) end
  node[#node + 1] = self:block()
  self:close()
  self:expect "end"
  return node
end

statements["return"] = function(self, node)
  local token = self:peek()
  if not token or token.kind ~= "string" and (token.text == "end" or token.text == "else" or token.text == "elseif"
    or token.text == "until" or token.text == ";") then return node end
  return self:expressions(node)
end

statements["break"] = function(_, node) return node end

statements["goto"] = function(self, node)
  self:take()
  return node
end

statements["::"] = function(self, node)
  node.tag = "label"
  self:take()
  self:expect "::"
  return node
end

-- A call, or an assignment.
function Reader:other()
  local node = self:node "assign"
  repeat node[#node + 1] = self:suffixed() until not self:accept ","
  if not self:accept "=" then return node[1] end
  node.targets = #node
  for i = 1, node.targets do
    if node[i].var then node[i].var.assigned = true end
  end
  return self:expressions(node)
end

local ends = { ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true }

function Reader:block()
  local node = self:node "block"
  while self:peek() and not (self:peek().kind ~= "string" and ends[self:peek().text]) do
    if not self:accept ";" then
      local token = self:peek()
      local statement = token.kind ~= "string" and statements[token.text]
      if statement then
        self:take()
        node[#node + 1] = statement(self, self:node(token.text, token))
      else
        node[#node + 1] = self:other()
      end
    end
  end
  return node
end

function Reader:scoped_block()
  self:open()
  local node = self:block()
  self:close()
  return node
end

--- The tree of a script, or nil if it was not understood.
---@param tokens moonpark.check.token[]
---@return moonpark.check.node|nil
function M.read(tokens)
  local reader = setmetatable({ tokens = tokens, at = 1 }, Reader)
  reader:open()
  local ok, node = pcall(reader.block, reader)
  return ok and node and reader.at > #tokens and node or nil
end

--- Calls enter(node, parent) for each node, from the outside in; leave(node) after its parts. If enter returns false
--- its parts are left out.
---@param node moonpark.check.node
---@param enter fun(node: moonpark.check.node, parent: moonpark.check.node|nil): boolean|nil
---@param leave? fun(node: moonpark.check.node)
---@param parent? moonpark.check.node
function M.walk(node, enter, leave, parent)
  if enter(node, parent) ~= false then
    for _, part in ipairs(node) do M.walk(part, enter, leave, node) end
  end
  if leave then leave(node) end
end

return M
