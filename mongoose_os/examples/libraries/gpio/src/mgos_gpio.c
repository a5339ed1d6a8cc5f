/* Pins in memory. Without hardware, a program sees what it wrote. */

#include "mgos_gpio.h"

#include "mgos.h"

static bool *s_levels;

/* Called before mgos_app_init(), as the init function of every library with sources. */
bool mgos_gpio_init(void) {
  int count = mgos_sys_config_get_gpio_count();
  s_levels = count > 0 ? calloc((size_t) count, sizeof(*s_levels)) : NULL;
  return s_levels != NULL;
}

static bool is_pin(int pin) {
  return pin >= 0 && pin < mgos_sys_config_get_gpio_count();
}

bool mgos_gpio_set_mode(int pin, enum mgos_gpio_mode mode) {
  (void) mode;
  return is_pin(pin);
}

bool mgos_gpio_read(int pin) {
  return is_pin(pin) && s_levels[pin];
}

void mgos_gpio_write(int pin, bool level) {
  if (is_pin(pin)) s_levels[pin] = level;
}

bool mgos_gpio_toggle(int pin) {
  mgos_gpio_write(pin, !mgos_gpio_read(pin));
  return mgos_gpio_read(pin);
}
