/** The console: providers, routes, and the login page in front of them where the API wants a token. */
import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { BrowserRouter, Route, Routes } from "react-router";
import { Problem } from "./api/client";
import { session } from "./api/queries";
import { LanguageProvider } from "./catalogue/language";
import { LiveProvider } from "./live/use-live";
import { Gate } from "./login/gate";
import { NotFound, Waiting } from "./shell/states";

const Wall = lazy(() => import("./wall/wall"));
const Devices = lazy(() => import("./devices/devices"));
const Device = lazy(() => import("./device/device"));
const Gateways = lazy(() => import("./gateways/gateways"));
const Login = lazy(() => import("./login/login"));
const Book = lazy(() => import("./book/book"));

const client: QueryClient = new QueryClient({
  queryCache: new QueryCache({
    onError: (error, query) => {
      const refused = error instanceof Problem && error.status === 401;
      if (refused && query.queryKey[0] !== "session") void client.invalidateQueries({ queryKey: session.queryKey });
    },
  }),
  defaultOptions: {
    queries: {
      retry: (failures, error) => failures < 3 && !(error instanceof Problem && error.status >= 400 && error.status < 500),
      refetchOnWindowFocus: false,
    },
  },
});

export function App() {
  return (
    <LanguageProvider>
      <QueryClientProvider client={client}>
        <LiveProvider>
          <BrowserRouter>
            <Gate>
              <Suspense fallback={<Waiting />}>
                <Routes>
                  <Route path="/" element={<Wall />} />
                  <Route path="/devices" element={<Devices />} />
                  <Route path="/devices/:id" element={<Device />} />
                  <Route path="/gateways" element={<Gateways />} />
                  <Route path="/login" element={<Login />} />
                  <Route path="/import" element={<Book />} />
                  <Route path="*" element={<NotFound />} />
                </Routes>
              </Suspense>
            </Gate>
          </BrowserRouter>
        </LiveProvider>
      </QueryClientProvider>
    </LanguageProvider>
  );
}
