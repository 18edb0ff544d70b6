/* A Lua program, run. */
#include <lua5.4/lauxlib.h>
#include <lua5.4/lualib.h>
#include <stdio.h>

int main(void)
{
    lua_State *l = luaL_newstate();
    luaL_openlibs(l);
    const int rc = luaL_dostring(l, "local t = {} for i = 1, 1000 do t[i] = (i * 7919) % 1000 end table.sort(t) "
                                    "print(t[1], t[500], t[1000], string.format('%q', 'a\\tb')) "
                                    "print(pcall(error, 'thrown')) "
                                    "local c = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end end) "
                                    "print(c(), c(), c())");
    if (rc) printf("%s\n", lua_tostring(l, -1));
    lua_close(l);
    return rc;
}
