/** The filter of the device list as it stands in the address; pure. */
import type { DeviceFilter } from "../api/queries";
import { STATES } from "../api/types";

/** Read a filter from the address; words that are no state are left out. */
export function readFilter(search: URLSearchParams): DeviceFilter {
  const known: readonly string[] = STATES;
  return {
    state: search.getAll("state").filter((state) => known.includes(state)),
    protocol: search.get("protocol") ?? "",
    enterprise: search.get("enterprise") ?? "",
    search: search.get("q") ?? "",
  };
}

/** Write a filter into an address; what is not filtered by is left out. */
export function writeFilter(filter: DeviceFilter): URLSearchParams {
  const search = new URLSearchParams();
  for (const state of filter.state) search.append("state", state);
  if (filter.protocol !== "") search.set("protocol", filter.protocol);
  if (filter.enterprise !== "") search.set("enterprise", filter.enterprise);
  if (filter.search !== "") search.set("q", filter.search);
  return search;
}
