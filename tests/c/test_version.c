/* The version and the features, as a program sees them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <mgos_mqtt_version.h>

/* proves: EI-01 */
static void header_and_library_are_the_same_version(void **state) {
  (void) state;
  assert_string_equal(mgos_mqtt_version(), MGOS_MQTT_VERSION);
  assert_int_equal(mgos_mqtt_version_number(), MGOS_MQTT_VERSION_NUMBER);
}

static void number_orders_like_the_text(void **state) {
  char text[32];
  int number = mgos_mqtt_version_number();
  (void) state;
  snprintf(text, sizeof text, "%d.%d.%d", number / 1000000, number / 1000 % 1000, number % 1000);
  assert_string_equal(text, mgos_mqtt_version());
#if MGOS_MQTT_VERSION_NUMBER < MGOS_MQTT_VERSION_MINOR * 1000
#error "the number must work in #if"
#endif
}

/* proves: EI-01 */
static void only_exact_names_of_built_features_are_had(void **state) {
  (void) state;
  assert_true(mgos_mqtt_has("capi"));
  assert_false(mgos_mqtt_has("cap"));
  assert_false(mgos_mqtt_has("CAPI"));
  assert_false(mgos_mqtt_has(""));
  assert_false(mgos_mqtt_has(","));
  assert_false(mgos_mqtt_has(NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(header_and_library_are_the_same_version),
      cmocka_unit_test(number_orders_like_the_text),
      cmocka_unit_test(only_exact_names_of_built_features_are_had),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
