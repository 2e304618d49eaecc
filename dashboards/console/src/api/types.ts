/** Short names for the API's own types; nothing here says anything that the OpenAPI document does not. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Counts = Schemas["CountAnswer"];
export type CountScope = Schemas["ScopeAnswer"];
export type LiveCount = Schemas["LiveCount"];
export type LiveScope = Schemas["LiveScope"];
export type LiveStates = Schemas["LiveStates"];
export type Series = Schemas["SeriesAnswer"];
export type Exclusion = Schemas["ExclusionAnswer"];
export type ExcludedPage = Schemas["ExcludedPage"];
export type DeviceSummary = Schemas["DeviceSummary"];
export type DeviceDetail = Schemas["DeviceDetail"];
export type DevicePage = Schemas["DevicePage"];
export type Tag = Schemas["TagAnswer"];
export type Presence = Schemas["PresenceAnswer"];
export type Latest = Schemas["LatestAnswer"];
export type LatestReading = Schemas["LatestReading"];
export type ReadingPage = Schemas["ReadingPage"];
export type Diagnostics = Schemas["DiagnosticsAnswer"];
export type ProtocolCounts = Schemas["ProtocolCountAnswer"];
export type Gap = Schemas["GapAnswer"];
export type GapPage = Schemas["GapPage"];
export type Gateway = Schemas["GatewayAnswer"];
export type GatewayList = Schemas["GatewayList"];
export type Certificate = Schemas["CertificateAnswer"];
export type CertificateList = Schemas["CertificateList"];
export type QuarantinePage = Schemas["QuarantinePage"];
export type Enterprise = Schemas["EnterpriseAnswer"];
export type EnterpriseList = Schemas["EnterpriseList"];
export type RulebookList = Schemas["RulebookList"];
export type Tier = Schemas["TierAnswer"];
export type ImportAnswer = Schemas["ImportAnswer"];
export type BookError = Schemas["BookError"];
export type Session = Schemas["SessionAnswer"];

export type StateWord = DeviceSummary["state"];
export type ClassWord = DeviceSummary["device_class"];
export type OriginWord = DeviceSummary["origin"];
export type Resolution = ReadingPage["resolution"];

/** From the best that can be said of a device to the least. */
export const STATES: readonly StateWord[] = ["connected", "responding", "linked", "offline", "unobserved"];
export const CLASSES: readonly ClassWord[] = ["operating", "processing", "mobile", "other"];
export const ORIGINS: readonly OriginWord[] = ["real", "unknown", "replayed", "simulated"];
