/* Pins. The part of the header of Mongoose OS that most applications use. */

#ifndef MGOS_GPIO_H
#define MGOS_GPIO_H

#include <stdbool.h>

enum mgos_gpio_mode { MGOS_GPIO_MODE_INPUT = 0, MGOS_GPIO_MODE_OUTPUT = 1 };

#ifdef __cplusplus
extern "C" {
#endif

bool mgos_gpio_set_mode(int pin, enum mgos_gpio_mode mode);
bool mgos_gpio_read(int pin);
void mgos_gpio_write(int pin, bool level);
bool mgos_gpio_toggle(int pin);

#ifdef __cplusplus
}
#endif

#endif
