/*
 * The strings of Mongoose 6 (mgos_api.md 3.1), with their own header alone and by the names that applications
 * use.
 */
#include <mgos_mg_str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void strings_are_made(void **state) {
  const char *text = "abc";
  struct mg_str literal = MG_MK_STR("abcd"), part = MG_MK_STR_N("abcd", 2), nothing = MG_NULL_STR;
  struct mg_str whole = mg_mk_str(text), some = mg_mk_str_n(text, 2), none = mg_mk_str(NULL);
  (void) state;
  assert_int_equal(literal.len, 4);
  assert_int_equal(part.len, 2);
  assert_true(nothing.p == NULL && nothing.len == 0);
  assert_true(whole.p == text && whole.len == 3);
  assert_true(some.p == text && some.len == 2);
  assert_true(none.p == NULL && none.len == 0);
}

static void strings_are_compared(void **state) {
  struct mg_str abc = mg_mk_str("abc"), ab = mg_mk_str("ab"), upper = mg_mk_str("ABC");
  struct mg_str empty = MG_NULL_STR, high = mg_mk_str_n("ab\xe9", 3);
  (void) state;
  assert_int_equal(mg_vcmp(&abc, "abc"), 0);
  assert_true(mg_vcmp(&abc, "abd") < 0 && mg_vcmp(&abc, "abb") > 0);
  assert_true(mg_vcmp(&abc, "ab") > 0 && mg_vcmp(&ab, "abc") < 0);
  assert_true(mg_vcmp(&abc, "ABC") != 0);
  assert_int_equal(mg_vcmp(&empty, ""), 0);
  assert_int_equal(mg_vcmp(NULL, NULL), 0);
  assert_int_equal(mg_vcasecmp(&abc, "ABC"), 0);
  assert_true(mg_vcasecmp(&abc, "ABD") < 0 && mg_vcasecmp(&abc, "AB") > 0);

  assert_int_equal(mg_strcmp(abc, abc), 0);
  assert_int_equal(mg_strcmp(ab, abc), -1);
  assert_int_equal(mg_strcmp(abc, ab), 1);
  assert_int_equal(mg_strcmp(abc, high), -1); /* bytes are unsigned */
  assert_int_equal(mg_strcmp(empty, empty), 0);
  assert_int_equal(mg_strcmp(empty, ab), -1);
  assert_int_equal(mg_strncmp(abc, ab, 2), 0);
  assert_int_equal(mg_strncmp(abc, ab, 3), 1);
  assert_int_equal(mg_strncmp(abc, upper, 0), 0);
  assert_int_equal(mg_strcasecmp(abc, upper), 0);
  assert_int_equal(mg_strcasecmp(ab, upper), -1);
  assert_int_equal(mg_strcasecmp(high, mg_mk_str_n("ab\xc9", 3)), 1); /* only ASCII letters have case */

  assert_int_equal(mg_str_starts_with(abc, ab), 1);
  assert_int_equal(mg_str_starts_with(ab, abc), 0);
  assert_int_equal(mg_str_starts_with(abc, empty), 1);
  assert_int_equal(mg_str_starts_with(upper, ab), 0);
}

static void strings_are_searched_and_stripped(void **state) {
  struct mg_str text = mg_mk_str("hello"), empty = MG_NULL_STR;
  struct mg_str stripped = mg_strstrip(mg_mk_str(" \t a b\r\n"));
  (void) state;
  assert_ptr_equal(mg_strchr(text, 'l'), text.p + 2);
  assert_null(mg_strchr(text, 'x'));
  assert_null(mg_strchr(text, '\0'));
  assert_null(mg_strchr(empty, 'x'));
  assert_ptr_equal(mg_strstr(text, mg_mk_str("lo")), text.p + 3);
  assert_null(mg_strstr(text, mg_mk_str("lol")));
  assert_ptr_equal(mg_strstr(text, empty), text.p);
  assert_null(mg_strstr(empty, text));
  assert_int_equal(mg_vcmp(&stripped, "a b"), 0);
  assert_int_equal(mg_strstrip(mg_mk_str(" \n ")).len, 0);
  assert_int_equal(mg_strstrip(empty).len, 0);
}

static void strings_are_copied(void **state) {
  struct mg_str text = mg_mk_str("hello"), empty = MG_NULL_STR, copy = mg_strdup(text),
                ended = mg_strdup_nul(text);
  (void) state;
  assert_true(copy.p != text.p);
  assert_int_equal(mg_strcmp(copy, text), 0);
  assert_int_equal(ended.len, 5);
  assert_string_equal(ended.p, "hello");
  mg_strfree(&copy);
  assert_true(copy.p == NULL && copy.len == 0);
  mg_strfree(&copy);
  mg_strfree(NULL);
  free((void *) ended.p); /* as applications do */
  copy = mg_strdup(empty);
  assert_true(copy.p == NULL && copy.len == 0);
  copy = mg_strdup_nul(mg_mk_str(""));
  assert_true(copy.p == NULL && copy.len == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(strings_are_made),
      cmocka_unit_test(strings_are_compared),
      cmocka_unit_test(strings_are_searched_and_stripped),
      cmocka_unit_test(strings_are_copied),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
