//  luamatch_test.c - tests of luamatch.c and luapattern.c: whatever Lua's own library answers, ours answers too

#include "luahost_priv.h"

#if defined(__SANITIZE_THREAD__)
#define TRIES                                                                            \
    300    //  An error jumps out of frames that the sanitizer then believes to be there for ever
#else
#define TRIES 10000
#endif

static const char s_program[] =
    "local pieces = {'a', 'b', 'ab', '.', '%a', '%d', '%s', '%w', '%W', '%p', '%x', "
    "'[ab]', '[^a]', '[a-c%d]', '[]a]', '[^]]',\n"
    "                '*', '+', '-', '?', '(', ')', '()', '^', '$', '%b()', '%f[%w]', "
    "'%1', '%2', '%', '[', '[a-', '%f', '%b(', '%%', '%.',\n"
    "                '\\0', '[%z]', '[%-a]', ' '}\n"
    "local letters = {'a', 'b', 'c', '1', ' ', '(', ')', '.', '%', ']', '\\0', 'ab', "
    "'aab'}\n"
    "local function some (list, most)\n"
    "    local text = {}\n"
    "    for nbr = 1, math.random (0, most) do text[nbr] = list[math.random (#list)] "
    "end\n"
    "    return table.concat (text)\n"
    "end\n"
    "local function pack (...) return {n = select ('#', ...), ...} end\n"
    "local function show (got)\n"
    "    local text = {}\n"
    "    for nbr = 1, got.n do text[nbr] = ('%s:%q'):format (math.type (got[nbr]) or "
    "type (got[nbr]), tostring (got[nbr])) end\n"
    "    return table.concat (text, ', ')\n"
    "end\n"
    "local function all (gmatch, text, pattern)\n"
    "    local text_of, count = {}, 0\n"
    "    for one, two in gmatch (text, pattern) do\n"
    "        count = count + 1\n"
    "        text_of[count] = tostring (one) .. '/' .. tostring (two)\n"
    "        if count == 50 then break end\n"
    "    end\n"
    "    return table.concat (text_of, '|')\n"
    "end\n"
    "local function compare (what, ours, theirs, ...)\n"
    "    local mine, other = pack (pcall (ours, ...)), pack (pcall (theirs, ...))\n"
    "    if mine[1] and show (mine) ~= show (other) or mine[1] ~= other[1] then\n"
    "        error (('%s (%s): ours %s, the library %s'):format (what, show (pack "
    "(...)), show (mine), show (other)))\n"
    "    end\n"
    "    return mine[1]\n"
    "end\n"
    "local good = 0\n"
    "local function count (fine) good = good + (fine and 1 or 0) end\n"
    "for nbr = 1, tries do\n"
    "    local text, pattern = some (letters, 8), some (pieces, 5)\n"
    "    local init = math.random (-10, 10)\n"
    "    count (compare ('find', find, string.find, text, pattern, init, math.random (4) "
    "== 1))\n"
    "    count (compare ('match', match, string.match, text, pattern, init))\n"
    "    count (compare ('gmatch', all, function (_, ...) return all (string.gmatch, "
    "...) end, gmatch, text, pattern))\n"
    "    local with = some ({'x', '%0', '%1', '%2', '%%', '%', 'y'}, 3)\n"
    "    count (compare ('gsub', gsub, string.gsub, text, pattern, with, math.random (2) "
    "== 1 and math.random (0, 3) or nil))\n"
    "    count (compare ('gsub', gsub, string.gsub, text, pattern, {a = 'A', ab = 7, "
    "['1'] = false}))\n"
    "    count (compare ('gsub', gsub, string.gsub, text, pattern, function (one) return "
    "one ~= 'a' and one .. '!' or nil end))\n"
    "end\n"
    "return good\n";


void
luamatch_test (void)
{
    static const luaL_Reg functions[] = {{"find", rk_lua_find},
                                         {"match", rk_lua_match},
                                         {"gmatch", rk_lua_gmatch},
                                         {"gsub", rk_lua_gsub},
                                         {NULL, NULL}};
    lua_State *L = luaL_newstate ();
    luaL_openlibs (L);
    rk_lua_t without_task = {.L = L};    //  So nothing is limited
    *(rk_lua_t **) lua_getextraspace (L) = &without_task;
    lua_pushglobaltable (L);
    luaL_setfuncs (L, functions, 0);
    lua_pop (L, 1);
    lua_pushinteger (L, TRIES);
    lua_setglobal (L, "tries");
    bool well =
        luaL_loadstring (L, s_program) == LUA_OK && lua_pcall (L, 0, 1, 0) == LUA_OK;
    if (!well)
        fprintf (stderr, "%s\n", lua_tostring (L, -1));
    rk_check (well);
    rk_check (lua_tointeger (L, -1) > TRIES);    //  Enough of the patterns were good ones
    lua_close (L);
}
