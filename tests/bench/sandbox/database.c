/* A database at work: rows are inserted, then found again by their key and by an index. In a file it makes some system
 * calls for each transaction of a hundred rows, in memory hardly any. Prints what it found.
 *
 *   database ROWS [FILE]          FILE is made anew */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROWS_MAX         10000000l
#define TRANSACTION_ROWS 100
#define STRIDE           7919 /* a prime: rows are found in another order than they were inserted in */

static void must(sqlite3 *db, int rc)
{
    if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW) return;
    fprintf(stderr, "database: %s\n", sqlite3_errmsg(db));
    exit(1);
}

static sqlite3_stmt *prepared(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    must(db, sqlite3_prepare_v2(db, sql, -1, &s, NULL));
    return s;
}

static void begin(sqlite3 *db, long i)
{
    if (i % TRANSACTION_ROWS == 0) must(db, sqlite3_exec(db, "begin", NULL, NULL, NULL));
}

static void commit(sqlite3 *db, long i, long rows)
{
    if (i % TRANSACTION_ROWS == TRANSACTION_ROWS - 1 || i == rows - 1)
        must(db, sqlite3_exec(db, "commit", NULL, NULL, NULL));
}

static void insert(sqlite3 *db, long rows)
{
    sqlite3_stmt *s = prepared(db, "insert into t values (?1, printf('row %08d', ?1 * 7919 % 1000003))");
    for (long i = 0; i < rows; i++) {
        begin(db, i);
        must(db, sqlite3_bind_int64(s, 1, i));
        must(db, sqlite3_step(s));
        must(db, sqlite3_reset(s));
        commit(db, i, rows);
    }
    must(db, sqlite3_finalize(s));
}

static long long found(sqlite3 *db, long rows, const char *sql)
{
    sqlite3_stmt *s = prepared(db, sql);
    long long sum = 0;
    for (long i = 0; i < rows; i++) {
        begin(db, i);
        must(db, sqlite3_bind_int64(s, 1, i * STRIDE % rows));
        const int rc = sqlite3_step(s);
        must(db, rc);
        if (rc == SQLITE_ROW) sum += sqlite3_column_int64(s, 0);
        must(db, sqlite3_reset(s));
        commit(db, i, rows);
    }
    must(db, sqlite3_finalize(s));
    return sum;
}

int main(int argc, char **argv)
{
    sqlite3 *db;
    const long rows = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    if (rows <= 0 || rows > ROWS_MAX) {
        fprintf(stderr, "usage: database ROWS [FILE]\n");
        return 2;
    }
    if (argc > 2) (void)unlink(argv[2]);
    must(NULL, sqlite3_open(argc > 2 ? argv[2] : ":memory:", &db));
    /* Waiting for a disk is the same work in a sandbox and outside, and would hide the rest. */
    must(db,
         sqlite3_exec(
             db, "pragma synchronous = off; create table t (a integer primary key, b text); create index x on t (b)",
             NULL, NULL, NULL));
    insert(db, rows);
    printf("%ld rows: ", rows);
    printf("%lld by key, ", found(db, rows, "select a + length(b) from t where a = ?1"));
    printf("%lld by index\n", found(db, rows, "select a from t where b = printf('row %08d', ?1 * 7919 % 1000003)"));
    must(db, sqlite3_close(db));
    return 0;
}
