/* A table made, filled, asked, in memory or in the file that is named. */
#include <sqlite3.h>
#include <stdio.h>

static int show(void *arg, int n, char **value, char **name)
{
    (void)arg;
    (void)name;
    for (int i = 0; i < n; i++) printf("%s%s", i ? " " : "", value[i]);
    printf("\n");
    return 0;
}

int main(int argc, char **argv)
{
    sqlite3 *db;
    char *error = NULL;
    if (sqlite3_open(argc > 1 ? argv[1] : ":memory:", &db)) return 1;
    const int rc = sqlite3_exec(db,
                                "create table t(a integer primary key, b text);"
                                "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) "
                                "insert into t select i, printf('row %04d', i * 7919 % 2000) from n;"
                                "create index x on t(b); delete from t where a % 3 = 0;"
                                "select count(*), min(b), max(b), sum(a) from t; select * from t order by b limit 3;",
                                show, NULL, &error);
    if (rc) printf("%s\n", error);
    return sqlite3_close(db) || rc;
}
