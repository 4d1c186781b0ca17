// Shows the pages' times in the reader's own zone. Optional: without it they read in UTC.

const date = new Intl.DateTimeFormat(undefined, {
  day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit',
});
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const { timeZone } = date.resolvedOptions();

for (const element of document.querySelectorAll('time[datetime]')) {
  element.title = element.textContent;
  element.textContent = date.format(new Date(element.dateTime));
}
for (const element of document.querySelectorAll('[data-clock]')) {
  element.textContent = clock.format(new Date(Number(element.dataset.clock) * 1000));
}
for (const element of document.querySelectorAll('[data-zone]')) {
  element.textContent = `times in your zone, ${timeZone}; tables in UTC`;
}
